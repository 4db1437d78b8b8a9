/** The graph: the nodes of one level in columns, those of a phase in a band; what is inside a node has a level of its own. */
import { computed, signal, useComputed, useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { Card, cardId } from "./card";
import { time } from "./format";
import { layout, type Band, type Layout } from "./layout";
import { Kind } from "./icons";
import { around, chosen, filter, fits, inside, label, node, nodes, phase, scope, shape, trail } from "./model";

/** A phase of more nodes than this is folded at first where a level has more than `MANY`. */
const LARGE = 24;
const MANY = 120;
const ZOOMS = { least: 0.15, legible: 0.8, most: 2, step: 1.25 };

/** Phases that a person has folded or unfolded. */
const folds = signal<ReadonlyMap<number, boolean>>(new Map());

const level = computed<Layout>(() => {
  shape.value;
  const phases = inside.value.get(scope.value)?.phases ?? [];
  const many = phases.reduce((sum, one) => sum + one.nodes.length, 0) > MANY;
  return layout(
    phases.map(({ index, nodes }) => ({
      index,
      folded: folds.value.get(index) ?? (many && nodes.length > LARGE),
      nodes: nodes.map((id) => ({ id, needs: node(id)!.peek().needs ?? [] })),
    })),
  );
});

const fold = (index: number, folded: boolean): void => {
  folds.value = new Map(folds.peek()).set(index, folded);
};

export function Graph() {
  const plan = level.value;
  const zoom = useSignal(1);
  const box = useRef<HTMLDivElement>(null);
  const turn = (by: number): void => {
    zoom.value = Math.min(ZOOMS.most, Math.max(ZOOMS.least, zoom.peek() * by));
  };
  const fit = (): void => {
    const room = box.current;
    if (room) zoom.value = Math.max(ZOOMS.least, Math.min(1, (room.clientWidth - 4) / plan.width));
  };
  useLayoutEffect(() => {
    zoom.value = Math.max(ZOOMS.legible, Math.min(1, (box.current?.clientWidth ?? 800) / plan.width));
    begin(box.current, plan, zoom.peek());
  }, [scope.value]);
  const large = (inside.value.get(scope.value)?.phases ?? []).filter((one) => one.nodes.length > LARGE);
  return (
    <section class="graph" aria-label="Graph">
      <div class="bar">
        <Trail />
        <div class="group" role="group" aria-label="Zoom">
          {large.length > 0 && plan.bands.some((band) => band.folded) && (
            <button type="button" onClick={() => (folds.value = new Map(plan.bands.map((band) => [band.index, false])))}>
              Unfold all
            </button>
          )}
          <button type="button" aria-label="Zoom out" onClick={() => turn(1 / ZOOMS.step)}>
            −
          </button>
          <button type="button" aria-label="Zoom in" onClick={() => turn(ZOOMS.step)}>
            +
          </button>
          <button type="button" onClick={fit}>
            Fit
          </button>
        </div>
      </div>
      <div
        class="canvas"
        ref={box}
        tabIndex={0}
        role="group"
        aria-label="Nodes. Arrow keys go from one to another, Enter shows one, Right Bracket opens what is inside, Left Bracket goes back"
        onKeyDown={(event) => onKey(event, plan)}
      >
        <div style={{ width: `${plan.width * zoom.value}px`, height: `${plan.height * zoom.value}px` }}>
          <div
            class={zoom.value < 0.45 ? "sheet far" : "sheet"}
            style={{ width: `${plan.width}px`, height: `${plan.height}px`, transform: `scale(${zoom.value})` }}
          >
            {plan.bands.map((band) => (
              <PhaseBand key={band.index} band={band} height={plan.height} />
            ))}
            <svg class="edges" width={plan.width} height={plan.height} aria-hidden="true">
              {plan.edges.map((edge) => (
                <Line key={`${edge.from} ${edge.to}`} {...edge} />
              ))}
            </svg>
            {plan.cards.map((place) => {
              const cell = node(place.id);
              return cell && <Card key={place.id} id={place.id} cell={cell} place={place} />;
            })}
          </div>
        </div>
      </div>
    </section>
  );
}

/** Where the level is inside the run. */
function Trail() {
  if (!scope.value) return <Legend />;
  return (
    <nav aria-label="Level" class="trail">
      <button type="button" onClick={() => (scope.value = "")}>
        Run
      </button>
      {trail(scope.value).map((id) => (
        <span key={id}>
          <span aria-hidden="true">›</span>
          <button type="button" aria-current={id === scope.value ? "true" : undefined} onClick={() => (scope.value = id)}>
            {label(id)}
          </button>
        </span>
      ))}
    </nav>
  );
}

function Legend() {
  return (
    <p class="legend">
      <span>
        <i aria-hidden="true" />
        critical path
      </span>
      {[...nodes().values()].some((cell) => cell.peek().kind) && (
        <span>
          <Kind kind="command" />
          has nodes inside: double click, or ]
        </span>
      )}
    </p>
  );
}

function PhaseBand({ band, height }: { band: Band; height: number }) {
  const cell = phase(band.index);
  if (!cell) return null;
  const one = cell.value;
  const length = one.openedMs !== undefined && one.endedMs !== undefined ? ` · ${time(one.endedMs - one.openedMs - (one.idleMs ?? 0))}` : "";
  return (
    <div
      class={`band${one.openedMs !== undefined && one.endedMs === undefined ? " open" : ""}`}
      style={{ transform: `translateX(${band.x}px)`, width: `${band.width}px`, height: `${height - 8}px` }}
    >
      <h2>
        <button type="button" aria-expanded={!band.folded} onClick={() => fold(band.index, !band.folded)} title={one.name}>
          <span class="title">{one.name}</span>
          <span class="quiet">
            {one.done}/{one.total}
            {length}
          </span>
        </button>
      </h2>
      {band.folded && <FoldedPhase index={band.index} />}
    </div>
  );
}

/** A folded phase: a square for each node. */
function FoldedPhase({ index }: { index: number }) {
  const ids = inside.value.get(scope.value)?.phases.find((one) => one.index === index)?.nodes ?? [];
  return (
    <button type="button" class="folded" onClick={() => fold(index, false)}>
      <span class="unseen">Show {ids.length} nodes</span>
      {ids.map((id) => (
        <Square key={id} id={id} />
      ))}
    </button>
  );
}

function Square({ id }: { id: string }) {
  const look = useComputed(() => {
    const card = node(id)?.value;
    if (!card) return "";
    return `s-${card.state}${card.critical ? " critical" : ""}${fits(id, card, filter.value) ? "" : " faint"}`;
  });
  return <i data-id={id} class={look} />;
}

function Line({ from, to, path }: { from: string; to: string; path: string }) {
  const critical = useComputed(() => Boolean(node(from)?.value.critical && node(to)?.value.critical));
  const near = useComputed(() => chosen.value === from || chosen.value === to);
  return <path d={path} class={`${critical.value ? "critical" : ""}${near.value ? " near" : ""}`} />;
}

/** Begin where the run is. */
function begin(box: HTMLDivElement | null, plan: Layout, zoom: number): void {
  const active = (id: string): boolean => ["running", "waiting", "failed"].includes(node(id)?.peek().state ?? "");
  const first = plan.cards.find((place) => place.id === chosen.peek()) ?? plan.cards.find((place) => active(place.id));
  if (box) box.scrollLeft = first ? Math.max(0, first.x * zoom - 120) : 0;
}

const STEPS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

function onKey(event: KeyboardEvent, plan: Layout): void {
  const here = plan.cards.find((place) => place.id === chosen.peek());
  if (event.key === "]" && here && inside.peek().has(here.id)) return enter(here.id, null);
  if (event.key === "[" && scope.peek()) return enter(around(scope.peek()), scope.peek());
  const step = STEPS[event.key];
  if (!step) return;
  event.preventDefault();
  const next = here ? nearest(plan, here, step) : plan.cards[0];
  if (next) focus(next.id);
}

function enter(level: string, id: string | null): void {
  scope.value = level;
  const first = id ?? inside.peek().get(level)?.phases.find((one) => one.nodes.length)?.nodes[0];
  if (first) focus(first);
}

function focus(id: string): void {
  chosen.value = id;
  setTimeout(() => document.getElementById(cardId(id))?.focus());
}

function nearest(plan: Layout, here: { x: number; y: number; column: number }, [across, down]: [number, number]) {
  const there = plan.cards.filter((place) =>
    across ? Math.sign(place.column - here.column) === across : place.column === here.column && Math.sign(place.y - here.y) === down,
  );
  const far = (place: { x: number; y: number }): number => Math.abs(place.x - here.x) * 10 + Math.abs(place.y - here.y);
  return there.sort((a, b) => far(a) - far(b))[0];
}

/** Keep the level in step with what is chosen elsewhere. */
export function useLevel(): void {
  useEffect(() => chosen.subscribe((id) => {
    if (id !== null && around(id) !== scope.peek() && id !== scope.peek() && node(id)) scope.value = around(id);
  }), []);
}
