"""The name of a node for people: its task, with its placeholders filled in as far as the run knows them.

Pure. The run holds references to items, not the items. So numbers and the keys of items are filled in, and a part of an
item that is not its key appears by its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.text.placeholders import ARGUMENTS, describe

if TYPE_CHECKING:
    from engine.run.state import NodeState, Run


def title(run: Run, node: NodeState) -> str:
    """The task of *node* with the argument text, such as `Cover each file.path`, and for an instance `Cover a.py`."""
    plan = node.plan
    names = plan.names if plan.template is None else plan.template.nodes[0].names
    arguments = run.arguments if plan.arguments_of is None else ARGUMENTS  # those of its sub-command are a value
    if not names:
        return plan.task.replace(ARGUMENTS, arguments)

    def known(name: str, path: str) -> str:
        if plan.each is not None and name == plan.each.name:
            return f"each {name}{path}"
        if plan.loop is not None and name == "iteration":
            shape = run.unfolded.get(plan.id)
            return str(shape.count if shape is not None else 1)
        return _of_instance(run, plan.id, name, path) or f"{name}{path}"

    return describe(plan.task, names, known, arguments)


def _of_instance(run: Run, node: str, name: str, path: str) -> str | None:
    """The value of a placeholder in the innermost instance around *node* that has it; None if only a value has it."""
    while node:
        around, _, number = node.rpartition("/")
        shape = run.unfolded.get(around)  # type: ignore[call-overload]
        if shape is not None and name in shape.own:
            each = run.nodes[around].plan.each  # type: ignore[index]
            if each is None or name != each.name:
                return number
            return shape.keys[int(number) - 1] if shape.keys and each.key == f"${path}" else None
        node = around
    return None
