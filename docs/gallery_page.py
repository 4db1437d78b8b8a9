"""The commands of the gallery as a part of a page: sentence, picture, worst case, and what each agent may do.

Effects: writes each template into an empty folder, where it is loaded as in a project.
"""
# ruff: noqa: INP001 - a folder of pages, not a package of the product

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from engine.graph import compile_plan, most_attempts, most_cost, predict
from engine.model.policy import CompensationType
from engine.views.diagram import mermaid, text_tree
from registry.catalog import Catalog
from registry.templates import GALLERY, Template, templates

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.model.agent import Agent
    from engine.model.plan import NodePlan, Plan


def gallery() -> str:
    """All commands of the gallery, by name."""
    return "\n".join(_command(one) for one in templates() if one.name.startswith(f"{GALLERY}/"))


def plan_of(template: Template) -> Plan:
    """The plan of *template* under its own name, in a project with nothing else."""
    name = f"/{template.folder.name}"
    with tempfile.TemporaryDirectory() as folder:
        for path, text in template.files(name).items():
            place = Path(folder, path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
        catalog = Catalog(Path(folder), home=None)
        return compile_plan(catalog.bundle(catalog.load(name)))


def _command(template: Template) -> str:
    plan, name = plan_of(template), template.folder.name
    why, usage = _head(template)
    cost = most_cost(plan)
    worst = f"at most {most_attempts(plan):,} attempts" + (f" and ${cost:,.2f}" if cost is not None else "")
    undone = [_plain(node) for node in _all(plan.nodes) if _is_undone(node)]
    lines = [
        f"## {name}",
        "",
        f"{template.description}.",
        "",
        f"```bash\norchestrate new {name} --from {template.name}\n{usage}\n```",
        "",
        why,
        "",
        f"```mermaid\n{mermaid(plan)}```",
        "",
        *_inside(plan),
        f"Worst case: {worst}. {_undoing(undone)}",
        "",
        "| agent | may | at most |",
        "| --- | --- | --- |",
        *(f"| `{agent.id}` | {_may(agent)} | {_most(agent)} |" for agent in _agents(plan)),
        "",
    ]
    return "\n".join(lines)


def _head(template: Template) -> tuple[str, str]:
    """The comment at the top of the command's file: its text, and the command line in it."""
    text = template.command.read_text(encoding="utf-8").partition("version:")[0]
    lines = [line.removeprefix("#").strip() for line in text.splitlines()]
    why, _, usage = "\n".join(lines).partition("\n\n")
    return why, usage.strip()


def _all(nodes: Sequence[NodePlan]) -> Iterator[NodePlan]:
    """The nodes of all levels."""
    for node in nodes:
        yield node
        yield from _all(node.template.nodes if node.template is not None else ())


def _is_undone(node: NodePlan) -> bool:
    """Whether an agent undoes what *node* did."""
    found = node.compensation
    return found is not None and found.type in {CompensationType.ROLLBACK, CompensationType.CUSTOM}


def _plain(node: NodePlan) -> str:
    """The id of *node* with those around it, without numbers of instances."""
    return node.id.replace("/*", "")


def _inside(plan: Plan) -> list[str]:
    """The phases as a tree, if lists and loops hold some that the picture does not show."""
    if not any(node.template is not None and len(node.template.nodes) > 1 for node in plan.nodes):
        return []
    tree = text_tree(plan, predict(plan)).partition("\n\n")[2].partition("\n\n")[0]
    return [f"```text\n{tree}\n```", ""]


def _undoing(nodes: list[str]) -> str:
    return f"Undone if it fails: {', '.join(f'`{node}`' for node in nodes)}." if nodes else "It changes nothing."


def _agents(plan: Plan) -> Iterator[Agent]:
    """The agents that are models first, since they are what one wants to know about."""
    yield from sorted(plan.agents.values(), key=lambda agent: (not agent.kind.traits.needs_model, agent.id))


def _may(agent: Agent) -> str:
    if not agent.kind.traits.needs_model:
        return f"a program: `{' '.join(word.rpartition('/')[2] for word in agent.command[1:])}`"
    tools = ", ".join(agent.tools or ())
    place = ", in a work tree of its own" if agent.isolation is not None else ""
    return f"{tools or 'no tools'}{place}"


def _most(agent: Agent) -> str:
    minutes = f"{agent.timeout.total_seconds() / 60:.0f} min" if agent.timeout is not None else ""
    return f"${agent.max_budget_usd:.2f}, {minutes}" if agent.max_budget_usd is not None else minutes
