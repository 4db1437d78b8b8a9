"""The terminal's own notifications."""

from __future__ import annotations

import pytest

from mcp_server.cli.bell import MAX_LENGTH, sequence, shows_texts


@pytest.mark.parametrize(
    "environ",
    [{"TERM_PROGRAM": "iTerm.app", "TERM": "xterm-256color"}, {"TERM": "xterm-kitty"}, {"TERM": "foot-extra"}],
)
def test_terminals_that_show_texts_get_one_beside_the_bell(environ: dict[str, str]) -> None:
    assert sequence("/hello completed", environ) == "\a\x1b]9;Orchestration: /hello completed\x1b\\"


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"TERM": "xterm-256color"},
        {"TERM": "dumb"},
        {"TERM": "tmux-256color", "TERM_PROGRAM": "WezTerm"},
        {"TERM": "xterm-kitty", "TMUX": "/run/tmux-0/default,1,0"},
    ],
)
def test_others_get_the_bell_alone(environ: dict[str, str]) -> None:
    assert not shows_texts(environ)
    assert sequence("/hello completed", environ) == "\a"


def test_a_text_can_neither_end_its_sequence_nor_begin_another() -> None:
    shown = sequence("a\x1b\\b\x07c\x9cd\ne" + "x" * 1000, {"TERM": "xterm-kitty"})
    inside = shown.removeprefix("\a\x1b]9;").removesuffix("\x1b\\")
    assert inside.isprintable()
    assert len(inside) <= MAX_LENGTH + len("Orchestration: ")
