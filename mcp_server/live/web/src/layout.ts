/** The place of each card: columns from phases and dependencies, rows by barycentre sweeps. Pure. */

export interface Placed {
  id: string;
  x: number;
  y: number;
  column: number;
}
export interface Band {
  index: number;
  x: number;
  width: number;
  folded: boolean;
}
export interface Edge {
  from: string;
  to: string;
  path: string;
}
export interface Layout {
  width: number;
  height: number;
  bands: Band[];
  cards: Placed[];
  edges: Edge[];
}
export interface Given {
  index: number;
  folded: boolean;
  nodes: { id: string; needs: readonly string[] }[];
}

export const CARD = { width: 196, height: 54 };
export const TOP = 46;
const GAP = { x: 56, narrow: 28, y: 12 };
const SIDE = 16;
/** The squares of a folded phase: the size of one with its gap, and how many are in a row. */
export const SQUARE = { size: 13, row: 15, top: 48 };
/** More cards than this side by side in one column are spread over several. */
const MOST_ROWS = 12;
const SWEEPS = 4;

interface Spot {
  id: string;
  phase: number;
  column: number;
  row: number;
  up: Spot[];
  down: Spot[];
}

export function layout(given: Given[]): Layout {
  const spots = new Map<string, Spot>();
  given.forEach((one, phase) => {
    if (one.folded) return;
    for (const { id } of one.nodes) spots.set(id, { id, phase, column: 0, row: 0, up: [], down: [] });
  });
  for (const one of given) {
    for (const { id, needs } of one.nodes) {
      const spot = spots.get(id);
      for (const need of needs) {
        const before = spots.get(need);
        if (spot && before) {
          spot.up.push(before);
          before.down.push(spot);
        }
      }
    }
  }
  const columns: Spot[][] = [];
  const bands: { first: number; last: number }[] = given.map((one, phase) => {
    const mine = one.nodes.flatMap(({ id }) => spots.get(id) ?? []);
    const first = columns.length;
    columns.push(...inColumns(mine, phase));
    if (columns.length === first) columns.push([]);
    return { first, last: columns.length - 1 };
  });
  columns.forEach((column, place) => column.forEach((spot) => (spot.column = place)));
  sortRows(columns);
  const lefts = leftsOf(columns);
  const x = (column: number): number => lefts[column]!;
  const y = (row: number): number => TOP + row * (CARD.height + GAP.y);
  const tallest = Math.max(1, ...columns.map((column) => column.length));
  const all = [...spots.values()];
  const squares = Math.max(0, ...given.map((one) => (one.folded ? Math.ceil(one.nodes.length / SQUARE.row) : 0)));
  return {
    width: lefts[columns.length]! - GAP.x + SIDE,
    height: Math.max(all.length ? y(tallest) - GAP.y : 0, squares ? SQUARE.top + squares * SQUARE.size : 0) + SIDE,
    bands: bands.map(({ first, last }, place) => ({
      index: given[place]!.index,
      x: x(first) - SIDE + 4,
      width: x(last) + CARD.width - x(first) + 2 * (SIDE - 4),
      folded: given[place]!.folded,
    })),
    cards: all.map((spot) => ({ id: spot.id, x: x(spot.column), y: y(spot.row), column: spot.column })),
    edges: all.flatMap((spot) =>
      spot.up.map((before) => ({
        from: before.id,
        to: spot.id,
        path: curve(
          x(before.column) + CARD.width,
          y(before.row) + CARD.height / 2,
          x(spot.column),
          y(spot.row) + CARD.height / 2,
        ),
      })),
    ),
  };
}

/** The left edge of each column, and of the one that would follow; beside a folded phase no edge needs room. */
function leftsOf(columns: Spot[][]): number[] {
  const found = [SIDE];
  columns.forEach((column, place) => {
    const next = columns[place + 1];
    const open = next === undefined || (column.length > 0 && next.length > 0);
    found.push(found[place]! + CARD.width + (open ? GAP.x : GAP.narrow));
  });
  return found;
}

/** The nodes of one phase: each behind those of the phase that it needs; long columns are split. */
function inColumns(mine: Spot[], phase: number): Spot[][] {
  const depth = new Map<Spot, number>();
  const left = new Map(mine.map((spot) => [spot, spot.up.filter((before) => before.phase === phase).length]));
  let ready = mine.filter((spot) => left.get(spot) === 0);
  for (let level = 0; ready.length; level++) {
    const next: Spot[] = [];
    for (const spot of ready) {
      depth.set(spot, level);
      for (const after of spot.down) {
        if (after.phase !== phase) continue;
        left.set(after, left.get(after)! - 1);
        if (left.get(after) === 0) next.push(after);
      }
    }
    ready = next;
  }
  const levels: Spot[][] = [];
  for (const spot of mine) (levels[depth.get(spot) ?? 0] ??= []).push(spot);
  return levels.flatMap((level) => {
    const parts = Math.ceil(level.length / MOST_ROWS);
    const rows = Math.ceil(level.length / parts);
    return Array.from({ length: parts }, (_, part) => level.slice(part * rows, (part + 1) * rows));
  });
}

/** Sort the rows of each column by where its neighbours are. */
function sortRows(columns: Spot[][]): void {
  const settle = (column: Spot[]): void => column.forEach((spot, row) => (spot.row = row));
  columns.forEach(settle);
  const sweep = (column: Spot[], side: "up" | "down"): void => {
    const mean = (spot: Spot): number =>
      spot[side].length ? spot[side].reduce((sum, near) => sum + near.row, 0) / spot[side].length : spot.row;
    const means = new Map(column.map((spot) => [spot, mean(spot)]));
    column.sort((a, b) => means.get(a)! - means.get(b)! || a.row - b.row);
    settle(column);
  };
  for (let turn = 0; turn < SWEEPS; turn++) {
    for (const column of columns) sweep(column, "up");
    for (const column of [...columns].reverse()) sweep(column, "down");
  }
}

function curve(x1: number, y1: number, x2: number, y2: number): string {
  const bend = Math.max(GAP.x / 2, Math.min(80, (x2 - x1) / 2));
  return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
}
