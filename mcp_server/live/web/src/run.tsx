/** The page of one run. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { about, dollars, time, words } from "./format";
import { Graph, useLevel } from "./graph";
import { Icon } from "./icons";
import { Follower } from "./follow";
import { Nodes, Todos } from "./lists";
import { problemOf, type Link } from "./links/link";
import {
  connection,
  counts,
  failures,
  filter,
  head,
  problem,
  questions,
  receiver,
  remaining,
  now,
  reveal,
  tick,
  view,
  warnings,
  type View,
} from "./model";
import { Panel } from "./panel";
import { Timeline } from "./timeline";
import type { Question, RunDocument, State } from "./types";

const VIEWS: [View, string][] = [
  ["graph", "Graph"],
  ["timeline", "Timeline"],
  ["nodes", "Nodes"],
  ["todos", "Todos"],
];
const ORDER: State[] = [
  "failed",
  "compensation_failed",
  "running",
  "waiting",
  "compensating",
  "pending",
  "completed",
  "skipped",
  "cancelled",
  "compensated",
];

/** Show the run with this id, until the function that this returns is called. */
export function follow(link: Link, id: string): () => void {
  const follower = new Follower<RunDocument>(receiver);
  connection.value = "connecting";
  problem.value = null;
  const end = link.run(id, {
    news: (news) => follower.take(news),
    state: (state) => (connection.value = state),
    failed: (why) => {
      connection.value = "over";
      problem.value = why;
    },
  });
  const timer = window.setInterval(() => connection.peek() === "live" && tick(), 1000);
  return () => {
    clearInterval(timer);
    end();
  };
}

export function RunPage({ link, home }: { link: Link; home?: () => void }) {
  useLevel();
  const run = head.value;
  if (!run) return <Waiting home={home} />;
  return (
    <>
      <Head link={link} home={home} />
      <Notices link={link} />
      <main>
        <Tabs />
        <div class="body">
          <div class="main" role="tabpanel" id="view" aria-labelledby={`tab-${view.value}`}>
            {view.value === "graph" && <Graph />}
            {view.value === "timeline" && <Timeline />}
            {view.value === "nodes" && <Nodes />}
            {view.value === "todos" && <Todos />}
          </div>
          <Panel link={link} />
        </div>
      </main>
    </>
  );
}

function Waiting({ home }: { home: (() => void) | undefined }) {
  const why = problem.value;
  return (
    <main class="alone">
      {home && (
        <button type="button" class="link" onClick={home}>
          ← All runs
        </button>
      )}
      <h1>{why ? "This run cannot be shown" : "Run"}</h1>
      <p role="status">{why ? why.message : connection.value === "lost" ? "The server does not answer; trying again…" : "Loading…"}</p>
      {why?.hint && <p class="quiet">{why.hint}</p>}
    </main>
  );
}

function Head({ link, home }: { link: Link; home: (() => void) | undefined }) {
  const run = head.value!;
  return (
    <header class="head">
      <div class="title">
        {home && (
          <button type="button" class="link" onClick={home}>
            Runs
          </button>
        )}
        <h1>{run.command}</h1>
        <span class={`chip big s-${run.state}`}>
          <Icon state={run.state} />
          {words(run.state)}
        </span>
        <Connection link={link} />
      </div>
      <div class="facts">
        <Progress />
        <Clock />
        {run.costUsd && <span>{dollars(run.costUsd)}</span>}
        {run.executor === "simulate" && <span class="quiet">simulated</span>}
        <span class="quiet id">{run.id}</span>
      </div>
      <Actions link={link} />
    </header>
  );
}

function Progress() {
  const run = head.value!;
  return (
    <span class="progress">
      <progress max={Math.max(1, run.total)} value={run.done} aria-label="Nodes finished" />
      {run.done} of {run.total}
    </span>
  );
}

function Clock() {
  const left = remaining.value;
  return (
    <span>
      {time(Math.max(0, now.value - (head.value?.idleMs ?? 0)))}
      {left !== undefined && left > 0 && <span class="quiet"> · {about(left)} left</span>}
    </span>
  );
}

const SAID = { connecting: "connecting", live: "live", lost: "connection lost, trying again", over: "no longer updated" };

function Connection({ link }: { link: Link }) {
  const state = connection.value;
  return (
    <span class={`link-state ${state}`}>
      <span role="status">{head.value?.ended && state === "live" ? "up to date" : SAID[state]}</span>
      {state !== "live" && (
        <button type="button" class="small" onClick={() => link.refresh()}>
          Try now
        </button>
      )}
    </span>
  );
}

const DONE = { cancel: "Cancelling…", resume: "Resuming…", retry: "Retrying…" };

function Actions({ link }: { link: Link }) {
  const run = head.value!;
  const said = useSignal("");
  const sure = useSignal(false);
  const can = run.can ?? [];
  useEffect(() => {
    said.value = "";
    sure.value = false;
  }, [run.state]);
  const act = (what: "cancel" | "resume" | "retry", doing: Promise<void>): void => {
    said.value = DONE[what];
    sure.value = false;
    doing.catch((error: unknown) => {
      const why = problemOf(error);
      said.value = [why.message, why.hint].filter(Boolean).join(". ");
    });
  };
  return (
    <div class="actions">
      {can.includes("resume") && (
        <button type="button" class="primary" onClick={() => act("resume", link.resume(run.id, false))}>
          Resume
        </button>
      )}
      {can.includes("retry") && (
        <button type="button" class="primary" onClick={() => act("retry", link.resume(run.id, true))}>
          Retry failed nodes
        </button>
      )}
      {can.includes("cancel") &&
        (sure.value ? (
          <span class="sure" role="group" aria-label="Cancel the run?">
            <button type="button" class="danger" onClick={() => act("cancel", link.cancel(run.id, true))}>
              Cancel and roll back
            </button>
            <button type="button" class="danger" onClick={() => act("cancel", link.cancel(run.id, false))}>
              Cancel, leave as it is
            </button>
            <button type="button" onClick={() => (sure.value = false)}>
              Keep running
            </button>
          </span>
        ) : (
          <button type="button" onClick={() => (sure.value = true)}>
            Cancel run
          </button>
        ))}
      <span role="status" class="quiet">
        {said}
      </span>
    </div>
  );
}

function Notices({ link }: { link: Link }) {
  const run = head.value!;
  const why = problem.value;
  return (
    <section class="notices" aria-label="Notices">
      {why && (
        <p class="notice bad" role="alert">
          {why.message} {why.hint}
        </p>
      )}
      {questions.value.map((one) => (
        <Asked key={one.node} one={one} link={link} />
      ))}
      {failures.value.length > 0 && (
        <details class="notice bad" open={failures.value.length <= 2}>
          <summary>{failures.value.length === 1 ? "1 failure" : `${failures.value.length} failures`}</summary>
          <ul>
            {failures.value.map((one, place) => (
              <li key={place}>
                {one.node ? (
                  <button type="button" class="link" onClick={() => reveal(one.node!)}>
                    {one.node}
                  </button>
                ) : (
                  "The run"
                )}{" "}
                <strong>{one.code}</strong>: {one.message}
                {one.hint && <span class="quiet"> {one.hint}</span>}
                {one.compensated && <span class="quiet"> (rolled back)</span>}
              </li>
            ))}
          </ul>
        </details>
      )}
      {run.message && run.message !== run.state && failures.value.length === 0 && <p class="notice">{run.message}</p>}
      {warnings.value.length > 0 && (
        <details class="notice">
          <summary>{warnings.value.length === 1 ? "1 warning" : `${warnings.value.length} warnings`}</summary>
          <ul>
            {warnings.value.map((text) => (
              <li key={text}>{text}</li>
            ))}
          </ul>
        </details>
      )}
    </section>
  );
}

const ANSWERS: Record<string, string> = { yes: "Approve", no: "Reject", retry: "Run it again", skip: "Skip it", fail: "Let it fail" };

function Asked({ one, link }: { one: Question; link: Link }) {
  const said = useSignal("");
  const sent = useSignal(false);
  const answer = (text: string): void => {
    sent.value = true;
    said.value = "Sent; waiting for the process of the run…";
    link.decide(head.peek()!.id, one.node, text).catch((error: unknown) => {
      sent.value = false;
      said.value = problemOf(error).message;
    });
  };
  return (
    <section class="notice ask" aria-label={`Question of ${one.node}`}>
      <p>
        <button type="button" class="link" onClick={() => reveal(one.node)}>
          {one.node}
        </button>{" "}
        asks: <strong>{one.text}</strong>
      </p>
      <div class="group">
        {one.answers.map((text, place) => (
          <button type="button" key={text} class={place === 0 ? "primary" : ""} disabled={sent.value} onClick={() => answer(text)}>
            {ANSWERS[text] ?? text}
          </button>
        ))}
        <span role="status" class="quiet">
          {said}
        </span>
      </div>
    </section>
  );
}

function Tabs() {
  const onKey = (event: KeyboardEvent): void => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const place = VIEWS.findIndex(([name]) => name === view.peek());
    view.value = VIEWS[(place + step + VIEWS.length) % VIEWS.length]![0];
    setTimeout(() => document.getElementById(`tab-${view.peek()}`)?.focus());
  };
  return (
    <div class="bar tabs">
      <div role="tablist" aria-label="View" onKeyDown={onKey}>
        {VIEWS.map(([name, title]) => (
          <button
            type="button"
            role="tab"
            key={name}
            id={`tab-${name}`}
            aria-controls="view"
            aria-selected={view.value === name}
            tabIndex={view.value === name ? 0 : -1}
            onClick={() => (view.value = name)}
          >
            {title}
          </button>
        ))}
      </div>
      <Filter />
    </div>
  );
}

/** Alone in reading the counts: were the page to read them, each change of one node would compare all of it again. */
function Filter() {
  const found = ORDER.filter((state) => counts.value[state]);
  return (
    <div class="filter" role="group" aria-label="Filter">
      {found.map((state) => (
        <button
          type="button"
          key={state}
          class={`state s-${state}`}
          aria-pressed={filter.value === state}
          aria-label={`${counts.value[state]} ${words(state)}`}
          title={words(state)}
          onClick={() => (filter.value = filter.value === state ? "" : state)}
        >
          <Icon state={state} />
          {counts.value[state]}
        </button>
      ))}
      <input
        type="search"
        aria-label="Find nodes"
        placeholder="Find nodes"
        value={ORDER.includes(filter.value as State) ? "" : filter.value}
        onInput={(event) => (filter.value = event.currentTarget.value)}
      />
    </div>
  );
}
