/** One node in full: what it does, why it waits, what came in and out, its attempts and its log. */
import { useSignal, type Signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { cardId } from "./card";
import { about, dollars, moment, size, time, words } from "./format";
import { Icon } from "./icons";
import { problemOf, type Link } from "./links/link";
import { around, choose, chosen, head, inside, label, node, now, reveal, scope, shape, took } from "./model";
import type { NodeCard, NodeDetail, Problem, State } from "./types";

const LOG_AGAIN_MS = 2000;
const LISTED = 60;
/** States of which there is something to say. */
const FIRST: ReadonlySet<State> = new Set(["failed", "compensation_failed", "waiting", "running", "compensating"]);

export function Panel({ link }: { link: Link }) {
  const id = chosen.value;
  shape.value;
  const cell = id === null ? undefined : node(id);
  if (id === null || !cell) return null;
  return <Node key={id} id={id} cell={cell} link={link} />;
}

function Node({ id, cell, link }: { id: string; cell: Signal<NodeCard>; link: Link }) {
  const card = cell.value;
  const run = head.value!.id;
  const detail = useSignal<NodeDetail | null>(null);
  const fault = useSignal<Problem | null>(null);
  const asked = useRef(0);
  useEffect(() => {
    const turn = ++asked.current;
    link.node(run, id).then(
      (found) => turn === asked.current && ((detail.value = found), (fault.value = null)),
      (error: unknown) => turn === asked.current && (fault.value = problemOf(error)),
    );
  }, [id, card.state, card.attempts, card.waitingFor]);
  const one = detail.value;
  const spent = took(card, card.state === "running" ? now.value : now.peek());
  const close = (): void => {
    choose(null);
    document.getElementById(cardId(id))?.focus();
  };
  return (
    <aside class="panel" aria-label={`Node ${label(id)}`} onKeyDown={(event) => event.key === "Escape" && close()}>
      <header>
        <h2>
          {around(id) && <span class="quiet">{around(id)}/</span>}
          {card.item ?? label(id)}
        </h2>
        <button type="button" class="plain" aria-label="Close" onClick={close}>
          ✕
        </button>
      </header>
      <p>
        <span class={`chip s-${card.state}`}>
          <Icon state={card.state} />
          {words(card.state)}
        </span>
        {card.critical && <span class="chip critical">critical path</span>}
      </p>
      {card.waitingFor && (
        <p class="why">
          Waits for <strong>{card.waitingFor}</strong>
        </p>
      )}
      {card.skipped && <p class="why">{card.skipped}</p>}
      {card.error && <p class="fault">{card.error}</p>}
      <p class="task">{one?.task ?? card.task}</p>
      <dl>
        <dt>Agent</dt>
        <dd>
          {card.agent}
          {one && one.executor !== "command" && <span class="quiet"> ({one.executor})</span>}
        </dd>
        <dt>Time</dt>
        <dd>
          {spent === undefined ? "not started" : time(spent)}
          <span class="quiet"> · estimate {about(one?.measuredMs ?? card.estimateMs)}</span>
        </dd>
        {card.costUsd && (
          <>
            <dt>Cost</dt>
            <dd>{dollars(card.costUsd)}</dd>
          </>
        )}
        <Near title="After" ids={one?.dependsOn ?? card.needs ?? []} />
        <Near title="Before" ids={one?.dependents ?? []} />
      </dl>
      <Inside id={id} card={card} />
      {fault.value && <p class="fault">{fault.value.message}</p>}
      {one && <Values one={one} link={link} run={run} />}
      {one && one.attempts.length > 0 && <Attempts one={one} />}
      {one?.prompt && (
        <details>
          <summary>Prompt</summary>
          <pre tabIndex={0} role="group" aria-label="Prompt">
            {one.prompt}
          </pre>
        </details>
      )}
      {(card.attempts ?? 0) > 0 && <Log run={run} id={id} card={card} link={link} />}
    </aside>
  );
}

function Near({ title, ids }: { title: string; ids: readonly string[] }) {
  if (!ids.length) return null;
  return (
    <>
      <dt>{title}</dt>
      <dd class="near">
        {ids.map((id) => (
          <button type="button" class="link" key={id} onClick={() => (node(id) ? reveal(id) : undefined)}>
            {label(id)}
          </button>
        ))}
      </dd>
    </>
  );
}

/** What is inside a group: its items, iterations or nodes; of many, those first of which there is something to say. */
function Inside({ id, card }: { id: string; card: NodeCard }) {
  const found = inside.value.get(id);
  if (!found) return null;
  const all = found.phases.flatMap((one) => one.nodes);
  const first = (one: string): boolean => FIRST.has(node(one)!.value.state);
  const ids = all.length > LISTED ? [...all.filter(first), ...all.filter((one) => !first(one))] : all;
  const title = card.kind === "list" ? "Items" : card.kind === "loop" ? "Iterations" : "Nodes inside";
  const hidden = card.kind === "list" && card.fold ? card.fold.total - ids.length : 0;
  return (
    <section>
      <h3>
        {title}
        <button type="button" class="small" onClick={() => (scope.value = id)}>
          Show in graph
        </button>
      </h3>
      <ul class="inside">
        {ids.slice(0, LISTED).map((one) => (
          <Inner key={one} id={one} />
        ))}
      </ul>
      {(hidden > 0 || ids.length > LISTED) && (
        <p class="quiet">{hidden + Math.max(0, ids.length - LISTED)} more are not listed.</p>
      )}
    </section>
  );
}

function Inner({ id }: { id: string }) {
  const card = node(id)?.value;
  if (!card) return null;
  return (
    <li>
      <button type="button" class={`row s-${card.state}`} onClick={() => reveal(id)}>
        <Icon state={card.state} />
        <span>{label(id)}</span>
        <span class="quiet">{words(card.state)}</span>
      </button>
    </li>
  );
}

const written = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value, null, 2));

function Values({ one, link, run }: { one: NodeDetail; link: Link; run: string }) {
  const values = useSignal<Record<string, unknown> | null>(null);
  const fault = useSignal("");
  const load = (): void => {
    link.outputs(run, one.id).then(
      (found) => (values.value = found),
      (error: unknown) => (fault.value = problemOf(error).message),
    );
  };
  return (
    <>
      {one.inputs.length > 0 && (
        <section>
          <h3>Inputs</h3>
          {one.inputs.map((input) => (
            <details key={input.key}>
              <summary>
                {input.key}
                <span class="quiet">
                  {" "}
                  {input.bytes === undefined ? "none yet" : size(input.bytes)}
                  {input.fromNodes.length > 0 && `, from ${input.fromNodes.map(label).join(", ")}`}
                </span>
              </summary>
              <pre tabIndex={0} role="group" aria-label={`Input ${input.key}`}>
                {input.value === undefined ? "Too large to show here, or not read yet." : written(input.value)}
              </pre>
            </details>
          ))}
        </section>
      )}
      {one.outputs.length > 0 && (
        <section>
          <h3>
            Outputs
            {one.outputs.some((output) => output.bytes !== undefined) && !values.value && (
              <button type="button" class="small" onClick={load}>
                Show values
              </button>
            )}
          </h3>
          {fault.value && <p class="fault">{fault.value}</p>}
          {one.outputs.map((output) => (
            <div key={output.key} class="value">
              {output.key}
              <span class="quiet"> {output.bytes === undefined ? "none yet" : size(output.bytes)}</span>
              {values.value && output.key in values.value && (
                <pre tabIndex={0} role="group" aria-label={`Output ${output.key}`}>
                  {written(values.value[output.key])}
                </pre>
              )}
            </div>
          ))}
        </section>
      )}
    </>
  );
}

/** The state that an attempt is drawn as: one that was cancelled has failed for the journal, but not for a person. */
function look({ state, code }: { state: string; code?: string }): string {
  if (state === "lost") return "interrupted";
  return state === "failed" && code === "CANCELLED" ? "cancelled" : state;
}

function Attempts({ one }: { one: NodeDetail }) {
  return (
    <section>
      <h3>Attempts</h3>
      <ol class="attempts">
        {one.attempts.map((attempt) => (
          <li key={attempt.number}>
            <span class={`chip s-${look(attempt)}`}>
              <Icon state={look(attempt)} />
              {attempt.rollback ? "rollback " : ""}
              {look(attempt) === "cancelled" ? "cancelled" : attempt.state}
            </span>{" "}
            {time(attempt.durationMs)}
            <span class="quiet">
              {" "}
              · {moment(attempt.startedAt)}
              {attempt.costUsd ? ` · ${dollars(attempt.costUsd)}` : ""}
              {attempt.inputTokens !== undefined ? ` · ${attempt.inputTokens} tokens in, ${attempt.outputTokens} out` : ""}
            </span>
            {attempt.message && (
              <p class={look(attempt) === "cancelled" ? "quiet" : "fault"}>
                {attempt.code}: {attempt.message}
                {attempt.hint && <span class="quiet"> {attempt.hint}</span>}
              </p>
            )}
            {attempt.session && <code>claude --resume {attempt.session}</code>}
          </li>
        ))}
      </ol>
    </section>
  );
}

function Log({ run, id, card, link }: { run: string; id: string; card: NodeCard; link: Link }) {
  const text = useSignal("");
  const box = useRef<HTMLPreElement>(null);
  const open = card.state === "running" || card.state === "compensating";
  useEffect(() => {
    let on = true;
    let timer = 0;
    const look = (): void => {
      link.log(run, id).then(
        (found) => on && show(found),
        (error: unknown) => on && (text.value = problemOf(error).message),
      );
      if (open) timer = window.setTimeout(look, LOG_AGAIN_MS);
    };
    const show = (found: string): void => {
      const there = box.current;
      const atEnd = !there || there.scrollHeight - there.scrollTop - there.clientHeight < 30;
      text.value = found;
      if (atEnd) requestAnimationFrame(() => there?.scrollTo(0, there.scrollHeight));
    };
    look();
    return () => {
      on = false;
      clearTimeout(timer);
    };
  }, [id, open, card.attempts]);
  return (
    <section>
      <h3>Log</h3>
      <pre class="log" ref={box} tabIndex={0} role="group" aria-label="The end of its log">
        {text}
      </pre>
    </section>
  );
}
