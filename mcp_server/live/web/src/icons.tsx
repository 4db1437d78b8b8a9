/** The sign of each state: a form of its own, so that nothing is said by colour alone. */

const FORMS: Record<string, string> = {
  pending: "M8 3.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9Z",
  waiting: "M5.5 3.5v9M10.5 3.5v9",
  running: "M5 3.2v9.6L13 8Z",
  completed: "M3 8.5 6.5 12 13 4.5",
  failed: "M4 4l8 8M12 4l-8 8",
  skipped: "M3 4v8l5-4ZM8 4v8l5-4Z",
  cancelled: "M4.5 4.5h7v7h-7Z",
  compensated: "M6.5 3.5 3 7l3.5 3.5M3 7h6.5a3 3 0 0 1 0 6H7",
};
const SAME: Record<string, string> = {
  compensating: "compensated",
  compensation_failed: "failed",
  degraded: "completed",
  interrupted: "waiting",
};
const SOLID = new Set(["running", "skipped"]);

export function Icon({ state }: { state: string }) {
  const form = FORMS[state] ? state : (SAME[state] ?? "pending");
  return (
    <svg class={SOLID.has(form) ? "icon solid" : "icon"} viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      <path d={FORMS[form]!} />
    </svg>
  );
}

const KINDS: Record<string, string> = {
  list: "M3 5h7M3 8h7M3 11h7M13 5v6",
  loop: "M12.5 6A5 5 0 1 0 13 9M13 3v3.2H9.8",
  command: "M3 4h5v4H3zM5.5 8v4H10M10 10h3.5v4H10z",
};

/** The sign of a node with others inside. */
export function Kind({ kind }: { kind: string }) {
  return (
    <svg class="icon kind" viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
      <path d={KINDS[kind] ?? KINDS["command"]!} />
    </svg>
  );
}
