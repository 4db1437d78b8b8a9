/** The nodes as a table, and the todo list. */
import { computed, useComputed, type Signal } from "@preact/signals";
import { about, dollars, time, words } from "./format";
import { Icon } from "./icons";
import { chosen, filter, fits, inside, nodes, now, phase, shape, todos, took } from "./model";
import type { NodeCard } from "./types";

const PAGE = 500;

/** All nodes, depth first: those inside a node follow it. */
const ordered = computed<[string, number][]>(() => {
  shape.value;
  const found: [string, number][] = [];
  const walk = (group: string, depth: number): void => {
    for (const one of inside.value.get(group)?.phases ?? []) {
      for (const id of one.nodes) {
        found.push([id, depth]);
        walk(id, depth + 1);
      }
    }
  };
  walk("", 0);
  return found;
});

export function Nodes() {
  const shown = ordered.value.filter(([id]) => !filter.value || fits(id, nodes().get(id)!.value, filter.value));
  return (
    <section class="table" aria-label="Nodes" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">Node</th>
            <th scope="col">State</th>
            <th scope="col">Phase</th>
            <th scope="col">Agent</th>
            <th scope="col" class="number">
              Time
            </th>
            <th scope="col" class="number">
              Attempts
            </th>
            <th scope="col" class="number">
              Cost
            </th>
          </tr>
        </thead>
        <tbody>
          {shown.slice(0, PAGE).map(([id, depth]) => (
            <NodeRow key={id} id={id} cell={nodes().get(id)!} depth={depth} />
          ))}
        </tbody>
      </table>
      {shown.length === 0 && <p class="quiet empty">No node fits the filter.</p>}
      {shown.length > PAGE && <p class="quiet empty">{shown.length - PAGE} more: use the filter to find them.</p>}
    </section>
  );
}

function NodeRow({ id, cell, depth }: { id: string; cell: Signal<NodeCard>; depth: number }) {
  const here = useComputed(() => chosen.value === id);
  const card = cell.value;
  const spent = card.state === "running" ? took(card, now.value) : took(card, now.peek());
  return (
    <tr class={here.value ? "here" : ""}>
      <th scope="row" style={{ paddingLeft: `${12 + 16 * depth}px` }}>
        <button type="button" class="link" aria-pressed={here.value} onClick={() => (chosen.value = id)}>
          {card.item ?? id}
        </button>
        <span class="quiet">{card.task}</span>
      </th>
      <td>
        <span class={`chip s-${card.state}`}>
          <Icon state={card.state} />
          {words(card.state)}
        </span>
        {card.waitingFor && <span class="quiet wait">{card.waitingFor}</span>}
      </td>
      <td>{phase(card.phase)?.peek().name}</td>
      <td>{card.agent}</td>
      <td class="number">{spent === undefined ? <span class="quiet">{about(card.estimateMs)}</span> : time(spent)}</td>
      <td class="number">{card.attempts ?? 0}</td>
      <td class="number">{card.costUsd ? dollars(card.costUsd) : ""}</td>
    </tr>
  );
}

const SIGNS = { pending: "pending", in_progress: "running", completed: "completed" } as const;

export function Todos() {
  return (
    <section class="todos" aria-label="Todo list" tabIndex={0}>
      <ul>
        {todos.value.map((one, place) => {
          const failed = one.text.startsWith("❌") || one.text.startsWith("Failed:");
          return (
            <li key={place} class={`s-${failed ? "failed" : SIGNS[one.status]}`}>
              <Icon state={failed ? "failed" : SIGNS[one.status]} />
              <span class="unseen">{words(one.status)}: </span>
              {one.text}
            </li>
          );
        })}
      </ul>
    </section>
  );
}
