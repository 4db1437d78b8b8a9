/** One node in the graph. It alone is drawn again when its node changes. */
import { useComputed, type Signal } from "@preact/signals";
import { about, time, words } from "./format";
import { Icon, Kind } from "./icons";
import type { Placed } from "./layout";
import { chosen, filter, fits, inside, label, node, now, phase, scope, took } from "./model";
import type { NodeCard, State } from "./types";

const MOST_DOTS = 12;
const OPEN: ReadonlySet<State> = new Set(["pending", "waiting", "running", "compensating"]);
const BAD: ReadonlySet<State> = new Set(["failed", "compensation_failed"]);

export const cardId = (id: string): string => `card-${id}`;

/** The second line: what is to be known of a node at a glance. */
function note(card: NodeCard): string {
  if (card.fold) return folded(card);
  if (card.state === "running" || card.state === "compensating") return time(took(card, now.value) ?? 0);
  if (card.asks) return "needs an answer";
  if (card.waitingFor) return `waits for ${card.waitingFor}`;
  if (card.error) return card.error.split(":")[0]!;
  const spent = took(card, now.peek());
  if (spent !== undefined) return time(spent);
  return card.state === "pending" ? about(card.estimateMs) : words(card.state);
}

function folded({ fold, kind, limit, state }: NodeCard): string {
  if (kind === "loop" && !OPEN.has(state)) return `${fold!.total} iteration${fold!.total === 1 ? "" : "s"}`;
  if (kind === "loop") return `iteration ${fold!.total}${limit ? ` of ${limit}` : ""}`;
  return `${fold!.settled}/${fold!.total}${fold!.failed ? ` · ${fold!.failed} failed` : ""}`;
}

/** What is inside a group: a dot for each of a few iterations, else a meter. */
function Parts({ id, card }: { id: string; card: NodeCard }) {
  const found = inside.value.get(id);
  if (card.kind === "loop" && found && found.phases.length <= MOST_DOTS) {
    return (
      <span class="dots" aria-hidden="true">
        {found.phases.flatMap((one) => one.nodes).map((one) => (
          <i key={one} class={`s-${node(one)?.value.state}`} />
        ))}
      </span>
    );
  }
  const phases = found?.phases.map((one) => phase(one.index)!.value) ?? [];
  const sum = (of: (one: { done: number; total: number }) => number): number => phases.reduce((all, one) => all + of(one), 0);
  const total = Math.max(1, card.fold?.total ?? sum((one) => one.total));
  const failed =
    card.fold?.failed ??
    (card.fold ? 0 : (found?.phases.flatMap((one) => one.nodes).filter((one) => BAD.has(node(one)!.value.state)).length ?? 0));
  const done = (card.fold?.settled ?? sum((one) => one.done)) - failed;
  return (
    <span class="meter" aria-hidden="true">
      <i class="ok" style={{ width: `${(100 * done) / total}%` }} />
      <i class="bad" style={{ width: `${(100 * failed) / total}%` }} />
      <i class="on" style={{ width: `${(100 * (card.fold?.running ?? 0)) / total}%` }} />
    </span>
  );
}

/** For a screen reader: the rest of what colours, signs and places say. */
export function unseen(card: NodeCard): string {
  const said = [card.task, words(card.state)];
  if (card.waitingFor) said.push(`waits for ${card.waitingFor}`);
  if (card.error) said.push(card.error);
  if (card.critical) said.push("on the critical path");
  return `. ${said.join(", ")}`;
}

export function Card({ id, cell, place }: { id: string; cell: Signal<NodeCard>; place: Placed }) {
  const faint = useComputed(() => !fits(id, cell.value, filter.value));
  const here = useComputed(() => chosen.value === id);
  const card = cell.value;
  const classes = ["card", `s-${card.state}`];
  if (card.kind) classes.push(`k-${card.kind}`);
  if (card.critical) classes.push("critical");
  if (card.asks) classes.push("asks");
  if (faint.value) classes.push("faint");
  return (
    <button
      type="button"
      id={cardId(id)}
      data-id={id}
      class={classes.join(" ")}
      style={{ transform: `translate(${place.x}px, ${place.y}px)` }}
      tabIndex={here.value ? 0 : -1}
      aria-pressed={here.value}
      onClick={() => (chosen.value = id)}
      onDblClick={() => inside.peek().has(id) && (scope.value = id)}
    >
      <Icon state={card.state} />
      <span class="name">{label(id)}</span>
      <span class="note">
        {note(card)}
        {(card.attempts ?? 0) > 1 && <b class="tries"> ×{card.attempts}</b>}
      </span>
      <span class="unseen">{unseen(card)}</span>
      {card.kind && <Kind kind={card.kind} />}
      {card.kind && <Parts id={id} card={card} />}
    </button>
  );
}
