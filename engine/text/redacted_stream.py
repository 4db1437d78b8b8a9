"""Redacts text that arrives in pieces, so that no secret gets through in two halves.

Pure. Text is released up to the end of a line after which no secret is still open: one probes by adding a word there
and looking whether `redact` would mask it. The text after it waits for the next piece, or for the end.
"""

from __future__ import annotations

import re

from engine.text.redaction import redact

MAX_LINE_LENGTH = 16 * 1024
"""Length from which a line without an end may be cut between two words."""
MAX_HELD_LENGTH = 64 * 1024
"""Text that cannot be cut anywhere is left out from this length on."""
_WINDOW = 8192
"""Longer than any private key."""
_PROBE = "probe0probe0probe0probe"
"""A secret that is still open would swallow it."""
_LINE_END = re.compile(r"[\n\r]")
_WORD_END = re.compile(r"[\s,;&{}]")
_KEY_BODY = re.compile(r"(?:[A-Za-z0-9+/=]{16,}\r?\n)*")


class RedactedStream:
    """One text in pieces."""

    __slots__ = ("_held", "_skips")

    def __init__(self) -> None:
        """Nothing is held yet."""
        self._held = ""
        self._skips = False

    def take(self, text: str, *, last: bool = False) -> tuple[str, int]:
        """Add *text*; returns what is certain by now, redacted, and the number of characters that are left out.

        With *last* nothing follows, so that all of it is certain.
        """
        left_out = 0
        if self._skips:
            start = _after_gap(text)
            if start is None:
                return "", len(text)
            self._skips, left_out, text = False, start, text[start:]
        text = self._held + text
        end = len(text) if last else _safe_end(text)
        self._held = text[end:]
        if len(self._held) > MAX_HELD_LENGTH:
            left_out += self.skip()
        return redact(text[:end]), left_out

    def skip(self) -> int:
        """Prepare for a gap before the next piece; returns the number of characters that are left out for it.

        The rest of a line that was cut could be the rest of a secret, so the text continues with the next line.
        """
        left_out = len(self._held)
        self._held, self._skips = "", True
        return left_out


def _after_gap(text: str) -> int | None:
    """Where *text* continues after a gap; lines that may belong to a private key are not among it."""
    found = _LINE_END.search(text)
    if found is None:
        return None
    body = _KEY_BODY.match(text, found.end())
    return found.end() if body is None else body.end()


def _safe_end(text: str) -> int:
    """The end of the part of *text* that can be redacted without what follows; 0 if there is none yet."""
    end = _last_safe(text, _LINE_END)
    if not end and len(text) > MAX_LINE_LENGTH:
        return _last_safe(text, _WORD_END)
    return end


def _last_safe(text: str, ends: re.Pattern[str]) -> int:
    """The last of some *ends* in *text* after which no secret is open; 0 if there is none."""
    start = max(0, len(text) - 2 * _WINDOW)
    places = [found.end() for found in ends.finditer(text, start)]
    back = 1
    while back <= len(places):
        if _is_closed(text[max(0, places[-back] - _WINDOW) : places[-back]]):
            return places[-back]
        back *= 2
    earlier = text.rfind("\n", 0, start) + 1
    return earlier if earlier and _is_closed(text[max(0, earlier - _WINDOW) : earlier]) else 0


def _is_closed(text: str) -> bool:
    """Whether nothing at the end of *text* makes a secret of what follows."""
    return redact(text + _PROBE) == redact(text) + _PROBE
