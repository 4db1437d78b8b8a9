/** The list of runs. */
import { signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ago, dollars, moment, time, words } from "./format";
import { Follower, merged } from "./follow";
import { Icon } from "./icons";
import type { Link } from "./links/link";
import type { Connection } from "./model";
import type { ListDocument, Problem, RunRow } from "./types";

const STATES = ["running", "pending", "compensating", "completed", "degraded", "failed", "compensated", "compensation_failed", "cancelled", "interrupted"];
const TYPED_MS = 250;

const list = signal<ListDocument | null>(null);
const where = signal<Record<string, string>>({});

export function RunsPage({ link, open }: { link: Link; open: (id: string) => void }) {
  const state = useSignal<Connection>("connecting");
  const why = useSignal<Problem | null>(null);
  const wanted = where.value;
  useEffect(() => {
    const follower = new Follower<ListDocument>({
      load: (document) => (list.value = document),
      patch: (changes) => (list.value = merged(list.peek()!, changes)),
    });
    let end: () => void = () => undefined;
    const timer = window.setTimeout(() => {
      end = link.runs(wanted, {
        news: (news) => {
          why.value = null;
          return follower.take(news);
        },
        state: (now) => (state.value = now),
        failed: (problem) => (why.value = problem),
      });
    }, list.peek() ? TYPED_MS : 0);
    return () => {
      clearTimeout(timer);
      end();
    };
  }, [JSON.stringify(wanted)]);
  const rows = Object.entries(list.value?.runs ?? {}).sort((a, b) => a[1].place - b[1].place);
  return (
    <>
      <header class="head">
        <div class="title">
          <h1>Runs</h1>
          <span class={`link-state ${state.value}`} role="status">
            {state.value === "live" ? "live" : state.value === "lost" ? "connection lost, trying again" : "connecting"}
          </span>
        </div>
        <Where />
      </header>
      <main>
        {why.value && (
          <p class="notice bad" role="alert">
            {why.value.message} {why.value.hint}
          </p>
        )}
        {list.value && rows.length === 0 && !why.value && (
          <p class="empty quiet">
            {Object.values(wanted).some(Boolean) ? "No run fits the filter." : "No runs yet. Start one with `orchestrate run`."}
          </p>
        )}
        {rows.length > 0 && (
          <ul class="runs" aria-label="Runs, newest first">
            {rows.map(([id, row]) => (
              <Run key={id} id={id} row={row} open={open} />
            ))}
          </ul>
        )}
      </main>
    </>
  );
}

function Run({ id, row, open }: { id: string; row: RunRow; open: (id: string) => void }) {
  const look = row.state === "running" && row.questions ? "waiting" : row.state;
  return (
    <li class={`run s-${look}`}>
      <button type="button" onClick={() => open(id)}>
        <span class="name">
          <strong>{row.command}</strong>
          <span class="quiet id">{id}</span>
        </span>
        <span class={`chip s-${look}`}>
          <Icon state={look} />
          {look === row.state ? words(look) : "waits for you"}
        </span>
        <span class="progress">
          <progress max={Math.max(1, row.total)} value={row.done} aria-label="Nodes finished" />
          {row.done} of {row.total}
          {row.failed ? <b class="bad"> {row.failed} failed</b> : ""}
        </span>
        <span class="when" title={moment(row.createdAt)}>
          {ago(row.createdAt)}
          <span class="quiet">
            {row.tookMs === undefined ? "" : ` · ${time(row.tookMs)}`}
            {row.costUsd ? ` · ${dollars(row.costUsd)}` : ""}
            {row.executor === "simulate" ? " · simulated" : ""}
          </span>
        </span>
        {row.message && <span class="message quiet">{row.message}</span>}
      </button>
    </li>
  );
}

function Where() {
  const set = (key: string) => (event: { currentTarget: { value: string } }) => {
    where.value = { ...where.peek(), [key]: event.currentTarget.value };
  };
  return (
    <form class="where" role="search" aria-label="Filter runs" onSubmit={(event) => event.preventDefault()}>
      <label>
        State
        <select onChange={set("state")} value={where.value["state"] ?? ""}>
          <option value="">any</option>
          {STATES.map((state) => (
            <option key={state} value={state}>
              {words(state)}
            </option>
          ))}
        </select>
      </label>
      <label>
        Command
        <input type="text" placeholder="/name" onInput={set("command")} value={where.value["command"] ?? ""} />
      </label>
      <label>
        Since
        <select onChange={set("since")} value={where.value["since"] ?? ""}>
          <option value="">ever</option>
          <option value="1h">an hour ago</option>
          <option value="1d">a day ago</option>
          <option value="1w">a week ago</option>
        </select>
      </label>
      <label class="wide">
        Text
        <input type="search" placeholder="in id, command or message" onInput={set("grep")} value={where.value["grep"] ?? ""} />
      </label>
    </form>
  );
}
