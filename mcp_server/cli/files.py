"""The commands about files: validate, plan, migrate, agents.

Effects: reads command and agent files; `migrate` writes one file. `plan` reads the times of earlier runs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from engine.text.shown import clean
from mcp_server.cli import console, lazy
from mcp_server.cli.invocation import note_json
from mcp_server.cli.shared import (
    OK,
    USAGE,
    Json,
    OutputFile,
    Source,
    as_data,
    counted,
    errors,
    finish,
    from_here,
    or_stdout,
    print_document,
    project_root,
    refuse_existing,
    write_new,
)


def validate(
    source: Source,
    strict: Annotated[bool, typer.Option(help="Warnings count as errors.")] = False,
    as_json: Json = False,
) -> None:
    """Check a command and report every problem at once."""
    from mcp_server.answers.status import validation_of  # noqa: PLC0415 - the wire models are needed for JSON only

    with errors():
        root = project_root()
        loaded = lazy.open_catalog(root, lazy.load_settings(root)).load(from_here(source))
        valid = not (loaded.errors or (strict and loaded.warnings))
        if as_json:
            console.print_json(as_data(validation_of(loaded, strict=strict)))
        else:
            console.print_problems(loaded.problems)
            verdict = "is valid" if valid else "is not valid"
            counts = f"{counted(len(loaded.errors), 'error')}, {counted(len(loaded.warnings), 'warning')}"
            console.results.print(f"{clean(loaded.name or source)} {verdict}: {counts}")
    raise typer.Exit(OK if valid else USAGE)


def plan(
    source: Source,
    format_: Annotated[str, typer.Option("--format", help="text, mermaid, json or svg.")] = "text",
    output: OutputFile = None,
) -> None:
    """Show how a command would run. The plan has phases, critical path, times, and context flow."""
    if format_ not in {"text", "mermaid", "json", "svg"}:
        raise typer.BadParameter(f'unknown format "{format_}": choose text, mermaid, json or svg')
    note_json(format_ == "json")
    finish(_plan(source, format_, output))


async def _plan(source: str, format_: str, output: Path | None) -> int:
    """Show the plan with the times of earlier runs, if there are any."""
    from engine.graph import predict  # noqa: PLC0415 - brings networkx
    from engine.views import diagram  # noqa: PLC0415
    from mcp_server.answers.status import estimate_of, loaded_of  # noqa: PLC0415

    source = from_here(source)
    async with lazy.open_project(project_root(), reads=True) as project:
        found = await project.forecast(lazy.RunRequest(source=source))
        if format_ == "json":
            shown = as_data(loaded_of(project.load(source), found.plan))
            document = {**shown, "estimate": as_data(estimate_of(found))}
            print_document(document, output)
            return OK
    if format_ == "mermaid":
        text = diagram.mermaid(found.plan)
    elif format_ == "svg":
        text = diagram.svg(found.plan, predict(found.plan))
    else:
        text = diagram.text_tree(found.plan, predict(found.plan))
        if found.cost_runs:
            text += f"\nExpected: {lazy.in_words(found)}\n"
    print_document(f"{text.rstrip()}\n", output)
    return OK


def agents(as_json: Json = False) -> None:
    """List the agents that commands of this project can use."""
    with errors():
        root = project_root()
        catalog = lazy.open_catalog(root, lazy.load_settings(root))
        found = catalog.agents()
        rows = [
            {
                "id": agent.id,
                "executor": agent.kind.value,
                "source": agent.source.value,
                "description": agent.description,
            }
            for agent in found.agents.values()
        ]
        if as_json:
            problems = [str(problem) for problem in found.problems]
            console.print_json({"agents": rows, "problems": problems, "shadowed": [str(row) for row in found.shadowed]})
            return
        heads = {"id": "AGENT", "executor": "EXECUTOR", "source": "SOURCE", "description": "DESCRIPTION"}
        console.print_lines(heads, rows)
        for note in (*found.problems, *found.shadowed):
            console.notes.print(f"note: {clean(str(note))}", soft_wrap=True)


def migrate(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="A v1 markdown file, an older JSON file, or a workflow of Archon or Conductor."
        ),
    ],
    output: Annotated[
        Path | None, typer.Option(callback=or_stdout, help="File for the result (default: stdout).")
    ] = None,
) -> None:
    """Convert a v1 markdown file, an older JSON file or another program's workflow to a v2 file.

    Agents that a workflow needs are written to .claude/agents. A workflow with errors is not converted.
    """
    with errors():
        root = project_root()
        loaded = lazy.open_catalog(root, lazy.load_settings(root)).load(from_here(file))
        console.print_problems(loaded.problems, console.notes)
        if loaded.errors and loaded.format in lazy.PEERS:
            raise typer.Exit(USAGE)
        text = json.dumps(loaded.raw, ensure_ascii=False, indent=2) + "\n"
        agents = {Path(".claude", "agents", f"{name}.md"): content for name, content in loaded.agents.items()}
        if output is None:
            console.write(text)
            if agents:
                console.notes.print(f"with --output, {counted(len(agents), 'agent file')} would be written too")
        else:
            target = lazy.inside(root, Path.cwd() / output)
            files = {lazy.inside(root, path): (path, content) for path, content in agents.items()}
            refuse_existing([target, *files])
            for path, (shown, content) in files.items():
                write_new(path, content, shown=shown)
            write_new(target, text, shown=output)
    raise typer.Exit(USAGE if loaded.errors else OK)
