/** The documents of the feed, as `engine/views/live.py` and `mcp_server/live/rows.py` build them; absent fields stand for what does not apply. */

export type State =
  | "pending"
  | "waiting"
  | "running"
  | "completed"
  | "failed"
  | "skipped"
  | "cancelled"
  | "compensating"
  | "compensated"
  | "compensation_failed";

export interface Try {
  startMs: number;
  endMs?: number;
  how?: "failed" | "cancelled" | "lost" | "undo";
}

export interface Fold {
  total: number;
  settled: number;
  failed?: number;
  running?: number;
}

export interface NodeCard {
  phase: number;
  place: [number, number];
  agent: string;
  task: string;
  needs?: string[];
  estimateMs: number;
  kind?: "agent" | "command" | "phases" | "list" | "loop";
  item?: string;
  state: State;
  waitingFor?: string;
  asks?: boolean;
  tries?: Try[];
  tookMs?: number;
  idleMs?: number;
  attempts?: number;
  error?: string;
  skipped?: string;
  costUsd?: number;
  critical?: boolean;
  fold?: Fold;
  limit?: number;
}

export interface Phase {
  id: string;
  name: string;
  after?: number;
  group?: string;
  limit?: number;
  done: number;
  total: number;
  openedMs?: number;
  endedMs?: number;
  idleMs?: number;
}

export interface Head {
  id: string;
  command: string;
  state: string;
  executor: string;
  ended?: boolean;
  createdAt: string;
  totalMs?: number;
  idleMs?: number;
  done: number;
  total: number;
  message?: string;
  costUsd?: number;
  can?: string[];
}

export interface Question {
  node: string;
  text: string;
  answers: string[];
}

export interface Fault {
  node?: string;
  code: string;
  message: string;
  hint?: string;
  compensated?: boolean;
}

export interface Todo {
  text: string;
  status: "pending" | "in_progress" | "completed";
}

export interface RunDocument {
  run: Head;
  phases: Record<string, Phase>;
  nodes: Record<string, NodeCard>;
  questions?: Question[];
  failures?: Fault[];
  warnings?: string[];
  todos?: Todo[];
}

export interface RunRow {
  command: string;
  state: string;
  executor: string;
  createdAt: string;
  tookMs?: number;
  done: number;
  total: number;
  failed?: number;
  costUsd?: number;
  message?: string;
  questions?: number;
  place: number;
}

export interface ListDocument {
  runs: Record<string, RunRow>;
}

/** A JSON Merge Patch: null stands for a key that is gone. */
export type Changes = { [key: string]: unknown };

export interface News<D> {
  feed: string;
  number: number;
  snapshot?: D;
  patches?: { number: number; changes: Changes }[];
  atMs?: number;
  remainingMs?: number;
}

export interface Problem {
  code: string;
  message: string;
  hint?: string;
}

/** One node in full, as `orchestrate show --json` prints it. */
export interface NodeDetail {
  id: string;
  phase: string;
  agentId: string;
  executor: string;
  state: string;
  waitingFor?: string;
  skipped?: string;
  dependsOn: string[];
  dependents: string[];
  estimateMs: number;
  measuredMs?: number;
  timeoutMs: number;
  startedMs?: number;
  durationMs?: number;
  remainingMs?: number;
  costUsd?: number;
  task: string;
  prompt?: string;
  inputs: { key: string; required: boolean; fromNodes: string[]; bytes?: number; value?: unknown }[];
  outputs: { key: string; persist: boolean; bytes?: number }[];
  attempts: {
    number: number;
    rollback?: boolean;
    state: string;
    startedAt: string;
    durationMs: number;
    worker?: string;
    code?: string;
    message?: string;
    hint?: string;
    costUsd?: number;
    inputTokens?: number;
    outputTokens?: number;
    session?: string;
    warnings?: string[];
  }[];
}
