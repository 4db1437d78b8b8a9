/** The page in a browser: an event stream for news, requests for the rest. */
import { Refused, problemOf, type Link, type Listener } from "./link";
import type { News, NodeDetail, Problem } from "../types";

/** The server sends something at least every 15 seconds. */
const SILENT_MS = 45_000;
const AGAIN_MS = [500, 1_000, 2_000, 5_000];

export function loopback(base: string): Link {
  let again: () => void = () => undefined;

  async function ask<T>(path: string, query: Record<string, string> = {}, body?: unknown): Promise<T> {
    const init: RequestInit =
      body === undefined
        ? {}
        : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    const answer = await fetch(`${base}api/${path}?${new URLSearchParams(query)}`, init);
    const found: unknown = await answer.json().catch(() => ({ code: String(answer.status), message: answer.statusText }));
    if (!answer.ok) throw new Refused(found as Problem);
    return found as T;
  }

  function follow<D>(path: string, query: Record<string, string>, to: Listener<D>): () => void {
    let source: EventSource | undefined;
    let timer = 0;
    let tries = 0;
    let over = false;
    const end = (): void => {
      over = true;
      clearTimeout(timer);
      source?.close();
    };
    const retry = (): void => {
      source?.close();
      if (over) return;
      to.state("lost");
      clearTimeout(timer);
      timer = window.setTimeout(open, AGAIN_MS[Math.min(tries++, AGAIN_MS.length - 1)]);
    };
    const failed = (problem: Problem): void => {
      end();
      to.failed(problem);
    };
    const open = (): void => {
      const heard = (): void => {
        clearTimeout(timer);
        timer = window.setTimeout(retry, SILENT_MS);
      };
      source?.close();
      source = new EventSource(`${base}api/${path}?${new URLSearchParams(query)}`);
      source.onmessage = (event: MessageEvent<string>) => {
        tries = 0;
        heard();
        if (to.news(JSON.parse(event.data) as News<D>)) to.state("live");
        else open();
      };
      source.addEventListener("failure", (event) => failed(JSON.parse((event as MessageEvent<string>).data) as Problem));
      source.onerror = () => {
        // A server that is running but does not know this page says so; one that is gone says nothing.
        source?.close();
        ask<unknown>("hello").then(retry, (error: unknown) => {
          const problem = problemOf(error);
          if (problem.code === "VIEW_TOKEN_NEEDED" || problem.code === "FOREIGN_REQUEST") failed(problem);
          else retry();
        });
      };
      heard();
    };
    again = () => {
      tries = 0;
      open();
    };
    open();
    return end;
  }

  return {
    lists: true,
    run: (id, to) => follow(`runs/${encodeURIComponent(id)}/events`, {}, to),
    runs: (where, to) => follow("events", where, to),
    node: (run, name) => ask<NodeDetail>(`runs/${encodeURIComponent(run)}/node`, { name }),
    log: async (run, name) => (await ask<{ text: string }>(`runs/${encodeURIComponent(run)}/log`, { name })).text,
    outputs: (run, name) => ask(`runs/${encodeURIComponent(run)}/outputs`, { name }),
    cancel: async (run, compensate) => void (await ask(`runs/${encodeURIComponent(run)}/cancel`, {}, { compensate })),
    resume: async (run, failed) => void (await ask(`runs/${encodeURIComponent(run)}/resume`, {}, { failed })),
    decide: async (run, node, answer) =>
      void (await ask(`runs/${encodeURIComponent(run)}/decide`, {}, { node, answer })),
    refresh: () => again(),
  };
}
