/**
 * The page inside a host of MCP Apps: JSON-RPC over postMessage (MCP Apps 2026-01-26), as much of it as this page needs.
 *
 * Hosts pass on calls of tools and reads of resources, and nothing else: so news come by a tool that waits for them. The
 * host's policy forbids connections, also to loopback. What is done here goes through the same tools as a model's calls.
 */
import { head, type Connection } from "../model";
import type { ListDocument, News, NodeDetail, RunDocument } from "../types";
import { Refused, type Link, type Listener } from "./link";

type Params = Record<string, unknown>;
interface Message {
  jsonrpc: "2.0";
  id?: number | string;
  method?: string;
  params?: Params;
  result?: Params;
  error?: { code: number; message: string };
}
interface ToolResult {
  structuredContent?: Params;
  isError?: boolean;
  content?: { type: string; text?: string }[];
}

const PROTOCOL = "2026-01-26";
const WAIT_SECONDS = 20;
const AGAIN_MS = 2000;
/** A run that began this long before its call was shown may still be the one of the call. */
const EARLY_MS = 3000;

const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

class Peer {
  private last = 0;
  private readonly open = new Map<number | string, { yes(value: unknown): void; no(error: Error): void }>();
  readonly heard = new Map<string, (params: Params) => void>();
  closed = false;

  constructor(private readonly to: Window) {
    addEventListener("message", (event: MessageEvent<Message>) => {
      if (event.source === to && event.data?.jsonrpc === "2.0") this.take(event.data);
    });
  }

  private take(message: Message): void {
    if (message.method === undefined) {
      const asked = this.open.get(message.id!);
      this.open.delete(message.id!);
      if (message.error) asked?.no(new Error(message.error.message));
      else asked?.yes(message.result);
    } else if (message.id === undefined) {
      this.heard.get(message.method)?.(message.params ?? {});
    } else if (message.method === "ping" || message.method === "ui/resource-teardown") {
      this.closed ||= message.method !== "ping";
      this.post({ id: message.id, result: {} });
    } else {
      this.post({ id: message.id, error: { code: -32601, message: "Method not found" } });
    }
  }

  post(message: Omit<Message, "jsonrpc">): void {
    this.to.postMessage({ jsonrpc: "2.0", ...message }, "*");
  }

  ask<T>(method: string, params: Params): Promise<T> {
    return new Promise<T>((yes, no) => {
      const id = ++this.last;
      this.open.set(id, { yes: yes as (value: unknown) => void, no });
      this.post({ id, method, params });
    });
  }

  async call<T>(name: string, args: Params): Promise<T> {
    const result = await this.ask<ToolResult>("tools/call", { name, arguments: args });
    if (result.isError) throw refused(result.content?.find((one) => one.text)?.text ?? "The tool failed");
    return result.structuredContent as T;
  }

  async read(uri: string): Promise<string> {
    const found = await this.ask<{ contents?: { text?: string }[] }>("resources/read", { uri });
    return found.contents?.[0]?.text ?? "";
  }
}

/** An error as our tools write it: `CODE: message`, then a hint. */
function refused(text: string): Refused {
  const [, code, message] = /^(?:error )?([A-Z][A-Z_]+):? (.*)/s.exec(text) ?? [];
  return new Refused({ code: code ?? "TOOL_FAILED", message: message ?? text });
}

export function host(to: Window, follow: (id: string) => () => void): Link {
  const peer = new Peer(to);
  let end: (() => void) | undefined;
  let shown = "";
  const show = (id: unknown): void => {
    if (typeof id !== "string" || !id || id === shown) return;
    end?.();
    shown = id;
    end = follow(id);
  };
  peer.heard.set("ui/notifications/tool-result", (params) => show((params as ToolResult).structuredContent?.["runId"]));
  peer.heard.set("ui/notifications/tool-input", (params) => {
    const given = (params["arguments"] ?? {}) as Params;
    if (given["run_id"]) show(given["run_id"]);
    else if (given["command"] && !given["dry_run"]) void search(String(given["command"]));
  });
  peer.heard.set("ui/notifications/host-context-changed", theme);

  /** The run of a call that has not returned: the newest, if it is of this command and began just now. */
  async function search(command: string): Promise<void> {
    const since = Date.now() - EARLY_MS;
    while (!shown && !peer.closed) {
      try {
        const { snapshot } = await peer.call<News<RunDocument>>("live", {});
        const run = snapshot?.run;
        if (run && run.command === command && new Date(run.createdAt).getTime() >= since) show(run.id);
      } catch {
        // There is no run yet.
      }
      await pause(AGAIN_MS / 2);
    }
  }

  function run(id: string, on: Listener<RunDocument>): () => void {
    let over = false;
    let known: Params = {};
    const look = async (): Promise<void> => {
      while (!over && !peer.closed) {
        try {
          const news = await peer.call<News<RunDocument>>("live", { run_id: id, wait_seconds: WAIT_SECONDS, ...known });
          if (over) return;
          known = on.news(news) ? { feed: news.feed, number: news.number } : {};
          on.state("live");
          // One look a second is enough for a page inside a conversation; an ended run changes only if it is resumed.
          await pause(head.peek()?.ended ? 5 * AGAIN_MS : AGAIN_MS / 2);
        } catch (error) {
          if (over) return;
          if (error instanceof Refused && error.problem.code === "RUN_NOT_FOUND") return on.failed(error.problem);
          on.state("lost");
          await pause(AGAIN_MS);
        }
      }
    };
    void look();
    wake = () => {
      known = {};
    };
    return () => {
      over = true;
    };
  }
  let wake: () => void = () => undefined;

  void peer
    .ask<{ hostContext?: Params }>("ui/initialize", {
      protocolVersion: PROTOCOL,
      appInfo: { name: "orchestration-run", version: "1" },
      appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
    })
    .then((answer) => {
      theme(answer.hostContext ?? {});
      peer.post({ method: "ui/notifications/initialized", params: {} });
      watchSize(peer);
    });

  const at = (id: string): string => `orchestration://runs/${encodeURIComponent(id)}`;
  return {
    lists: false,
    run,
    runs: (_: Record<string, string>, __: Listener<ListDocument>) => () => undefined,
    node: async (id, name) => JSON.parse(await peer.read(`${at(id)}/nodes/${encodeURIComponent(name)}`)) as NodeDetail,
    log: (id, name) => peer.read(`${at(id)}/nodes/${encodeURIComponent(name)}/log`),
    outputs: async (id, name) => {
      const node = JSON.parse(await peer.read(`${at(id)}/nodes/${encodeURIComponent(name)}`)) as NodeDetail;
      const keys = node.outputs.filter((one) => one.bytes !== undefined).map((one) => one.key);
      const texts = await Promise.all(keys.map((key) => peer.read(`${at(id)}/outputs/${encodeURIComponent(key)}`)));
      return Object.fromEntries(keys.map((key, place) => [key, texts[place]]));
    },
    cancel: async (id, compensate) => void (await peer.call("cancel", { run_id: id, compensate, reason: "on its page" })),
    resume: async (id, failed) => void (await peer.call("resume", { run_id: id, failed })),
    decide: async (id, node, answer) => void (await peer.call("report", { run_id: id, decisions: [{ node, answer }] })),
    refresh: () => wake(),
  };
}

function watchSize(peer: Peer): void {
  const page = document.documentElement;
  new ResizeObserver(() => {
    const height = Math.ceil(document.body.getBoundingClientRect().height);
    peer.post({ method: "ui/notifications/size-changed", params: { width: Math.ceil(page.clientWidth), height } });
  }).observe(document.body);
}

/** Take over the colours and fonts of the host. */
function theme(context: Params): void {
  if (context["theme"] === "dark" || context["theme"] === "light") document.documentElement.dataset["theme"] = context["theme"];
  const styles = context["styles"] as { variables?: Record<string, string | undefined> } | undefined;
  for (const [name, value] of Object.entries(styles?.variables ?? {})) {
    if (name.startsWith("--") && value) document.documentElement.style.setProperty(name, value);
  }
}

export type { Connection };
