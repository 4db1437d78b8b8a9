/** What the page needs of the place where it is shown: a browser on loopback, or a host of MCP Apps. */
import type { Changes, ListDocument, News, NodeDetail, Problem, RunDocument } from "../types";
import type { Connection } from "../model";

export interface Listener<D> {
  /** False: patches were missed. */
  news(news: News<D>): boolean;
  state(state: Connection): void;
  /** Nothing more comes. */
  failed(problem: Problem): void;
}

export interface Link {
  /** Whether there is a list of runs to go back to. */
  readonly lists: boolean;
  run(id: string, to: Listener<RunDocument>): () => void;
  runs(where: Record<string, string>, to: Listener<ListDocument>): () => void;
  node(run: string, node: string): Promise<NodeDetail>;
  log(run: string, node: string): Promise<string>;
  outputs(run: string, node: string): Promise<Record<string, unknown>>;
  cancel(run: string, compensate: boolean): Promise<void>;
  resume(run: string, failed: boolean): Promise<void>;
  decide(run: string, node: string, answer: string): Promise<void>;
  /** Ask for a snapshot now. */
  refresh(): void;
}

export class Refused extends Error {
  constructor(readonly problem: Problem) {
    super(problem.message);
  }
}

export const problemOf = (error: unknown): Problem =>
  error instanceof Refused
    ? error.problem
    : { code: "SERVER_GONE", message: "The server does not answer.", hint: "Start `orchestrate view` again if it has ended." };

export type { Changes };
