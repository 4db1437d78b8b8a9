/** Follows a feed: numbered patches on top of a snapshot. A gap asks for a snapshot. */
import type { Changes, News } from "./types";

export interface Receiver<D> {
  load(document: D): void;
  patch(changes: Changes): void;
  moment?(atMs: number | undefined, remainingMs: number | undefined): void;
}

export class Follower<D> {
  feed = "";
  number = 0;

  constructor(private readonly to: Receiver<D>) {}

  /** False: patches before these were missed, so that a snapshot is needed. */
  take(news: News<D>): boolean {
    const whole = this.apply(news);
    this.to.moment?.(news.atMs, news.remainingMs); // last: whether the time goes on depends on the state of the run
    return whole;
  }

  private apply(news: News<D>): boolean {
    if (news.snapshot !== undefined) {
      this.feed = news.feed;
      this.number = news.number;
      this.to.load(news.snapshot);
      return true;
    }
    for (const patch of news.patches ?? []) {
      if (news.feed === this.feed && patch.number <= this.number) continue;
      if (news.feed !== this.feed || patch.number !== this.number + 1) return false;
      this.number = patch.number;
      this.to.patch(patch.changes);
    }
    return true;
  }
}

type Plain = Record<string, unknown>;
const isObject = (value: unknown): value is Plain =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** *old* after a JSON Merge Patch (RFC 7396). */
export function merged<T>(old: T, changes: Changes): T {
  const next: Plain = { ...(old as Plain) };
  for (const [key, value] of Object.entries(changes)) {
    if (value === null) delete next[key];
    else next[key] = isObject(value) ? merged(isObject(next[key]) ? next[key] : {}, value) : value;
  }
  return next as T;
}
