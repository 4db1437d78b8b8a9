"""`orchestrate output`: the outputs of a run, whole; and how other commands show them.

Effects: opens the project and reads one run; prints to stdout, or writes a file.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import InputError
from engine.ids import RunId
from engine.text.shown import clean, printable
from mcp_server.cli import console, lazy
from mcp_server.cli.shared import OK, Json, OutputFile, RunArgument, finish, project_root, write_new

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mcp_server.project.outputs import Output

MAX_JSON_LENGTH = 2000
"""Characters of JSON that the end of a run shows; `orchestrate output` shows all."""


def output(
    run_id: RunArgument = None,
    name: Annotated[
        str | None, typer.Argument(metavar="KEY|NODE", help="One output, or those of a node (default: all).")
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Print one output as it is: text without quotes, all else as compact JSON.")
    ] = False,
    as_json: Json = False,
    file: OutputFile = None,
) -> None:
    """Show the outputs of a run, whole."""
    if raw and as_json:
        raise typer.BadParameter("--raw and --json cannot be combined")
    finish(_output(run_id, name, raw=raw, as_json=as_json, file=file))


async def _output(run_id: str | None, name: str | None, *, raw: bool, as_json: bool, file: Path | None) -> int:
    async with lazy.open_runs(project_root()) as project:
        engine = await project.reader()
        found, keys = await engine.read(
            RunId(run_id) if run_id else None,
            lambda view: (lazy.outputs_of(view.run, engine.values, name), lazy.keys_of(view.run)),
        )
    is_one = name in keys
    if name is None and (left := [key for key in keys if key not in {one.key for one in found}]):
        console.notes.print(f"left out, since their values do not join: {clean(', '.join(left))}")
    if raw:
        text = _raw(found)
        if file is None:
            console.write(printable(text) if console.results.is_terminal else text)
        else:
            write_new(file, text)
    elif as_json:
        value = found[0].value if is_one else {one.key: one.value for one in found}
        if file is None:
            console.print_json(value)
        else:
            write_new(file, console.json_text(value))
    elif file is not None:
        write_new(file, "\n".join(_text(one, alone=len(found) == 1) for one in found))
    elif not found:
        console.notes.print("this run has no outputs")
    else:
        print_outputs(found, named=not is_one)
    return OK


def _raw(found: Sequence[Output]) -> str:
    if len(found) != 1:
        keys = ", ".join(one.key for one in found[:10]) or "none"
        raise InputError(
            f"--raw prints one output, and there are {len(found)}", code="INVALID_ARGUMENT", hint=f"Name one: {keys}."
        )
    value = found[0].value
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


def _text(one: Output, *, alone: bool) -> str:
    """An output for a file: with a heading, unless it is *alone*."""
    value = one.value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
    return f"{'' if alone else f'{_heading(one)}{chr(10)}'}{text.rstrip(chr(10))}\n"


def _heading(one: Output) -> str:
    return f"── {clean(one.key)} ──"


def print_outputs(found: Sequence[Output], *, named: bool = True) -> None:
    """Print outputs whole, each below a heading if there are several; a single one with its key if it is *named*."""
    for one in found:
        _print(one, alone=len(found) == 1, named=named)


def print_result(run_id: RunId, found: Sequence[Output]) -> None:
    """Print the outputs of a run at its end; large JSON, which few people read, by the command that shows it."""
    for one in found:
        console.results.print()
        size = 0 if isinstance(one.value, str) else len(json.dumps(one.value, ensure_ascii=False, indent=2))
        if size <= MAX_JSON_LENGTH:
            _print(one, alone=len(found) == 1)
        else:
            shown = f"{_heading(one)}\n{size} characters of JSON: orchestrate output {run_id} {clean(one.key)}"
            console.results.print(shown, soft_wrap=True)


def _print(one: Output, *, alone: bool, named: bool = True) -> None:
    if not alone:
        console.results.print(_heading(one), soft_wrap=True)
    if isinstance(one.value, str):
        console.print_text(one.value)
    else:
        console.print_json({one.key: one.value} if alone and named else one.value)
