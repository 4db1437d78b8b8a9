/** What the page knows of a run: a signal for each node and phase, so that a change of one node redraws that node. */
import { batch, computed, signal, type Signal } from "@preact/signals";
import { merged, type Receiver } from "./follow";
import type { Changes, Fault, Head, NodeCard, Phase, Problem, Question, RunDocument, State, Todo } from "./types";

export type View = "graph" | "timeline" | "nodes" | "todos";
export type Connection = "connecting" | "live" | "lost" | "over";

export const head = signal<Head | null>(null);
export const questions = signal<Question[]>([]);
export const failures = signal<Fault[]>([]);
export const warnings = signal<string[]>([]);
export const todos = signal<Todo[]>([]);
export const counts = signal<Partial<Record<State, number>>>({});
/** Grows when nodes or phases come or go: only then is anything laid out again. */
export const shape = signal(0);
export const connection = signal<Connection>("connecting");
/** Why nothing more comes; null while news may come. */
export const problem = signal<Problem | null>(null);

export const chosen = signal<string | null>(null);
/** The node whose inside is shown; empty: the run itself. */
export const scope = signal("");
export const filter = signal("");
export const view = signal<View>("graph");

/** Milliseconds since the request for the run; ticks once a second while it goes on. */
export const now = signal(0);
export const remaining = signal<number | undefined>(undefined);
let seenAt = 0;
let seenMs = 0;
let leftMs: number | undefined;

const cells = new Map<string, Signal<NodeCard>>();
const phases = new Map<number, Signal<Phase>>();

export const node = (id: string): Signal<NodeCard> | undefined => cells.get(id);
export const phase = (index: number): Signal<Phase> | undefined => phases.get(index);
export const nodes = (): ReadonlyMap<string, Signal<NodeCard>> => cells;

const order = (a: NodeCard, b: NodeCard): number => a.place[0] - b.place[0] || a.place[1] - b.place[1];

interface Inside {
  phases: { index: number; nodes: string[] }[];
}

/** The phases of each node that has any inside, and of the run (under the empty name), each with its nodes in order. */
export const inside = computed<Map<string, Inside>>(() => {
  shape.value;
  const members = new Map<number, string[]>();
  for (const id of [...cells.keys()].sort((a, b) => order(cells.get(a)!.peek(), cells.get(b)!.peek()))) {
    const index = cells.get(id)!.peek().phase;
    const mine = members.get(index);
    if (mine) mine.push(id);
    else members.set(index, [id]);
  }
  const found = new Map<string, Inside>();
  for (const index of [...phases.keys()].sort((a, b) => a - b)) {
    const group = phases.get(index)!.peek().group ?? "";
    const there = found.get(group);
    const one = { index, nodes: members.get(index) ?? [] };
    if (there) there.phases.push(one);
    else found.set(group, { phases: [one] });
  }
  return found;
});

/** The node that *id* is inside of; empty at the top level. */
export const around = (id: string): string => phases.get(cells.get(id)?.peek().phase ?? -1)?.peek().group ?? "";

/** The nodes around *id* from the outermost on, *id* itself last. */
export function trail(id: string): string[] {
  const path: string[] = [];
  for (let one = id; one; one = around(one)) path.unshift(one);
  return path;
}

/** The name of a node among its neighbours: those of items, and without the names of what is around it. */
export function label(id: string): string {
  const item = cells.get(id)?.peek().item;
  return item ?? id.slice(id.lastIndexOf("/") + 1);
}

export function choose(id: string | null): void {
  chosen.value = id;
}

/** Show *id* among its neighbours. */
export function reveal(id: string): void {
  batch(() => {
    scope.value = around(id);
    chosen.value = id;
  });
}

export const receiver: Receiver<RunDocument> = {
  load(document) {
    batch(() => {
      cells.clear();
      phases.clear();
      for (const [key, one] of Object.entries(document.phases)) phases.set(Number(key), signal(one));
      for (const [id, one] of Object.entries(document.nodes)) cells.set(id, signal(one));
      head.value = document.run;
      lists(document as unknown as Changes, true);
      count();
      shape.value++;
      if (scope.peek() && !cells.has(scope.peek())) scope.value = "";
      if (chosen.peek() !== null && !cells.has(chosen.peek()!)) chosen.value = null;
      problem.value = null;
    });
  },
  patch(changes) {
    batch(() => {
      const before = shape.peek();
      if (changes["run"]) head.value = merged(head.peek()!, changes["run"] as Changes);
      into(phases, (changes["phases"] ?? {}) as Record<string, Changes | null>, Number, ["group"]);
      const news = (changes["nodes"] ?? {}) as Record<string, Changes | null>;
      const old = new Map(Object.keys(news).map((id) => [id, cells.get(id)?.peek().state]));
      into(cells, news, String, ["needs", "phase", "place"]);
      recount(old);
      lists(changes, false);
      if (shape.peek() !== before && chosen.peek() !== null && !cells.has(chosen.peek()!)) chosen.value = null;
    });
  },
  moment(atMs, remainingMs) {
    if (atMs === undefined) return;
    seenAt = performance.now();
    seenMs = atMs;
    leftMs = remainingMs;
    tick();
  },
};

/** Bring the time up to date. */
export function tick(): void {
  const passed = performance.now() - seenAt;
  const run = head.peek();
  now.value = run?.ended ? (run.totalMs ?? seenMs) : seenMs + passed;
  remaining.value = run?.ended || leftMs === undefined ? undefined : Math.max(0, leftMs - passed);
}

function into<K, T extends object>(
  map: Map<K, Signal<T>>,
  news: Record<string, Changes | null>,
  key: (text: string) => K,
  layout: string[],
): void {
  for (const [name, change] of Object.entries(news)) {
    const cell = map.get(key(name));
    if (change === null) {
      map.delete(key(name));
      shape.value++;
    } else if (cell) {
      cell.value = merged(cell.peek(), change);
      if (layout.some((field) => field in change)) shape.value++;
    } else {
      map.set(key(name), signal(merged({} as T, change)));
      shape.value++;
    }
  }
}

function lists(from: Changes, all: boolean): void {
  const take = <T>(name: string, to: Signal<T[]>): void => {
    if (all || name in from) to.value = (from[name] as T[] | null | undefined) ?? [];
  };
  take("questions", questions);
  take("failures", failures);
  take("warnings", warnings);
  take("todos", todos);
}

function count(): void {
  const found: Partial<Record<State, number>> = {};
  for (const cell of cells.values()) found[cell.peek().state] = (found[cell.peek().state] ?? 0) + 1;
  counts.value = found;
}

/** The counts after some nodes have changed, from the states that these had. */
function recount(old: Map<string, State | undefined>): void {
  const found = { ...counts.peek() };
  for (const [id, before] of old) {
    const after = cells.get(id)?.peek().state;
    if (before === after) continue;
    if (before) found[before] = (found[before] ?? 1) - 1;
    if (after) found[after] = (found[after] ?? 0) + 1;
  }
  counts.value = found;
}

/** Whether a node is what the filter asks for: a state, or a part of its id, name, task or agent. */
export function fits(id: string, card: NodeCard, wanted: string): boolean {
  if (!wanted || card.state === wanted) return true;
  const text = wanted.toLowerCase();
  return [id, card.item ?? "", card.task, card.agent].some((one) => one.toLowerCase().includes(text));
}

export const started = (card: NodeCard): number | undefined => card.tries?.[0]?.startMs;

/** How long a node was under way, or is at *at*: in a rollback that alone. The time without a process does not count. */
export function took(card: NodeCard, at: number): number | undefined {
  const first = started(card);
  if (first === undefined) return undefined;
  const last = card.tries![card.tries!.length - 1]!;
  if (card.state === "compensating") return Math.max(0, at - last.startMs);
  return card.tookMs ?? Math.max(0, (last.endMs ?? at) - first - (card.idleMs ?? 0));
}
