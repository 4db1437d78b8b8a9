"""Errors that explain why a markdown file is not a v1 command.

Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import InputError
from registry.markdown import NO_STEPS
from registry.markdown.headings import FOREIGN
from registry.markdown.shapes import Kind

if TYPE_CHECKING:
    from registry.markdown.shapes import Outline

_MAX_LINES = 8
"""Lines that one message names."""


def no_sign(stem: str) -> InputError:
    """The error for a prompt of Claude Code whose steps lack the details of v1 commands."""
    missing = "its title is not `/name`, and no step has an agent, a time or dependencies"
    hint = "Give it a title such as `# /name`, or steps with agents, times or dependencies; Claude Code runs prompts."
    return InputError(f'"{stem}.md" is a prompt of Claude Code: {missing}', code=NO_STEPS, hint=hint)


def no_steps(stem: str, outline: Outline, *, prompt: bool) -> InputError:
    """The error for a file whose *outline* has no steps; *prompt*: it has fields of Claude Code at its top."""
    if (
        outline.alternatives
        and not prompt
        and all("some cases only" in note.what for note in outline.notes if note.lost)
    ):
        named = ", ".join(f'"{one.heading}" (line {one.line})' for one in outline.alternatives[:_MAX_LINES])
        message = (
            f'"{stem}.md" has steps for different cases only, and a command cannot be made from alternatives: {named}'
        )
        return InputError(
            message, code=NO_STEPS, hint="Write a command for each case, or skip conditions in a v2 file."
        )
    notes = [note for note in (*outline.notes, *outline.unnumbered) if note.kind is not Kind.CONDITIONAL]
    passed = "; ".join(str(note) for note in notes[:_MAX_LINES])
    kind = "a prompt of Claude Code" if prompt else "prose"
    message = f'"{stem}.md" is {kind} without numbered steps, so it is not a v1 command'
    foreign = [note.line for note in notes if note.what.endswith(FOREIGN)]
    if foreign:
        lines = ", ".join(map(str, foreign[:_MAX_LINES]))
        hint = "Give each step its agent, as in `1. senior-reviewer - …`, or write the command as a v2 file."
        return InputError(f'"{stem}.md" is {FOREIGN} (lines {lines})', code=NO_STEPS, hint=hint)
    hint = "A v1 command has steps such as `1. senior-reviewer - Review the code (5 min)`; Claude Code runs prompts."
    return InputError(f"{message} ({passed})" if passed else message, code=NO_STEPS, hint=hint)
