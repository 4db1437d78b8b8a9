/** The run over time: a row for each node that has begun, drawn as far as it is in view; only open bars move. */
import { computed, useComputed, useSignal, type Signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { time } from "./format";
import { Icon } from "./icons";
import { around, chosen, filter, fits, label, nodes, now, phase, shape, started, took } from "./model";
import { unseen } from "./card";
import type { NodeCard, Try } from "./types";

const ROW = 28;
const SPARE = 6;

/** The nodes that have begun, by their start. A node that begins later is one more row. */
const rows = computed<string[]>(() => {
  shape.value;
  const begun: [string, number][] = [];
  for (const [id, cell] of nodes()) {
    const at = started(cell.value);
    if (at !== undefined && fits(id, cell.value, filter.value)) begun.push([id, at]);
  }
  return begun.sort((a, b) => a[1] - b[1]).map(([id]) => id);
});

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** The times between two lines of the axis that people count in. */
const STEPS = [
  ...[0.5, 1, 2, 5, 10, 15, 30].map((one) => one * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((one) => one * MINUTE),
  ...[1, 2, 6, 12].map((one) => one * HOUR),
];
const MOST_LINES = 5;

const step = computed(() => {
  const least = now.value / MOST_LINES;
  return STEPS.find((one) => one >= least) ?? Math.ceil(least / DAY) * DAY;
});
/** The end of the axis: a whole step, so that bars move seldom while the run goes on. */
const end = computed(() => Math.max(2, Math.ceil(now.value / step.value)) * step.value);

const share = (ms: number): string => `${(100 * ms) / end.value}%`;

export function Timeline() {
  const box = useRef<HTMLDivElement>(null);
  const top = useSignal(0);
  const tall = useSignal(800);
  useEffect(() => {
    const seen = new ResizeObserver(() => (tall.value = box.current?.clientHeight ?? 800));
    if (box.current) seen.observe(box.current);
    return () => seen.disconnect();
  }, []);
  const all = rows.value;
  const first = Math.max(0, Math.floor(top.value / ROW) - SPARE);
  const shown = all.slice(first, first + Math.ceil(tall.value / ROW) + 2 * SPARE);
  return (
    <section class="timeline" aria-label="Timeline">
      <div class="axis" aria-hidden="true">
        <span />
        <div>
          {Array.from({ length: Math.round(end.value / step.value) + 1 }, (_, place) => (
            <i key={place} style={{ left: share(place * step.value) }}>
              {place ? time(place * step.value) : "0"}
            </i>
          ))}
        </div>
      </div>
      <div class="rows" ref={box} tabIndex={0} role="group" aria-label="Nodes by their start" onScroll={(event) => (top.value = event.currentTarget.scrollTop)}>
        {all.length === 0 && <p class="quiet empty">Nothing has begun yet.</p>}
        <ul style={{ height: `${all.length * ROW}px` }}>
          {shown.map((id, place) => (
            <Row key={id} id={id} cell={nodes().get(id)!} place={first + place} of={all.length} />
          ))}
        </ul>
        {all.length > 0 && <Now />}
      </div>
    </section>
  );
}

function Now() {
  return (
    <div class="now" aria-hidden="true">
      <i style={{ left: share(now.value) }} />
    </div>
  );
}

function Row({ id, cell, place, of }: { id: string; cell: Signal<NodeCard>; place: number; of: number }) {
  const here = useComputed(() => chosen.value === id);
  const card = cell.value;
  const band = phase(card.phase)?.peek().name ?? "";
  return (
    <li style={{ transform: `translateY(${place * ROW}px)` }} aria-setsize={of} aria-posinset={place + 1}>
      <button
        type="button"
        class={`row s-${card.state}${card.critical ? " critical" : ""}`}
        aria-pressed={here.value}
        onClick={() => (chosen.value = id)}
      >
        <span class="name">
          <Icon state={card.state} />
          {around(id) && <span class="around">{around(id)}/</span>}
          <span>{label(id)}</span>
        </span>
        <span class="unseen">
          {unseen(card)}, phase {band}, began after {time(started(card) ?? 0)}, took {time(took(card, now.peek()) ?? 0)}
        </span>
        <span class="track" aria-hidden="true" style={{ backgroundSize: `${share(step.value)} 100%` }}>
          {(card.tries ?? []).map((one) => (
            <Bar key={one.startMs} one={one} />
          ))}
        </span>
      </button>
    </li>
  );
}

function Bar({ one }: { one: Try }) {
  const until = one.endMs ?? now.value;
  const kind = one.how ?? (one.endMs === undefined ? "open" : "ok");
  return (
    <i class={`try ${kind}`} style={{ left: share(one.startMs), width: share(Math.max(0, until - one.startMs)) }}>
      <b>{time(Math.max(0, until - one.startMs))}</b>
    </i>
  );
}
