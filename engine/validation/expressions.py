"""Conditions, transforms and schemas inside a command can be parsed.

Pure. `engine/conditions`, `engine/transforms` and `engine/values/context` give them their meaning.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine import conditions
from engine.errors import InputError
from engine.transforms import parse_transform
from engine.values import context

if TYPE_CHECKING:
    from engine.model.command import SkipCondition
    from engine.validation.problem import Report
    from engine.validation.subject import Subject

_COMMAND = re.compile(r"/?[a-z0-9-]+")
_CALLABLE = re.compile(r"[A-Za-z_][\w.:-]*")
_OUTSIDE = re.compile(r"[/\\~]|[A-Za-z]:")


def skip_expressions(subject: Subject, report: Report) -> None:
    """SPEC 6: a condition that cannot be evaluated fails its node."""
    for spot in subject.spots:
        skip = spot.node.skip_condition
        fault = _fault(skip) if skip else None
        if fault is not None:
            message, hint = fault
            report.add(
                "INVALID_EXPRESSION",
                f'Skip condition of node "{spot.node.id}": {message}',
                subject.pointer(spot, "skipCondition", "expression"),
                hint,
            )


def input_transforms(subject: Subject, report: Report) -> None:
    for spot in subject.spots:
        for at, item in enumerate(spot.node.context.inputs):
            if item.transform is None:
                continue
            try:
                parse_transform(item.transform)
            except InputError as error:
                report.add(
                    "INVALID_TRANSFORM",
                    f'Transform of input "{item.key}" of node "{spot.node.id}": {error.message}',
                    subject.pointer(spot, "context", "inputs", at, "transform"),
                    error.hint,
                )


def output_schemas(subject: Subject, report: Report) -> None:
    for spot in subject.spots:
        for at, output in enumerate(spot.node.context.outputs):
            if output.value_schema is None:
                continue
            fault = context.check_schema(output.value_schema)
            if fault is not None:
                report.add(
                    "INVALID_OUTPUT_SCHEMA",
                    f'Schema of output "{output.key}" of node "{spot.node.id}": {fault}',
                    subject.pointer(spot, "context", "outputs", at, "schema"),
                )


def _fault(skip: SkipCondition) -> tuple[str, str | None] | None:
    """The fault of an expression and a hint, if it has one."""
    text = skip.expression
    if skip.type == "context":
        try:
            conditions.parse(text)
        except InputError as error:
            return error.message, error.hint
        return None
    if skip.type == "file_exists":
        if _OUTSIDE.match(text) or ".." in re.split(r"[/\\]", text) or "\0" in text:
            return "the path is outside the project", "Write a path or glob relative to the project root."
        return None
    if skip.type == "command_success":
        fits = _COMMAND.fullmatch(text)
        return None if fits else ("this is not a command name", 'Write a name such as "/run-tests".')
    fits = _CALLABLE.fullmatch(text)
    return None if fits else ("this is not the name of a callable", "Write the name it was registered under.")
