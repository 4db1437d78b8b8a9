"""The part of the report about models: how much they verified, which findings are false, and the cost.

Pure. `report.py` puts it into its place.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from registry.packaged.review_repo.findings import MODEL, one_line
from registry.packaged.review_repo.markdown import code, number, plain, table
from registry.packaged.review_repo.meanings import MEANINGS
from registry.packaged.review_repo.verdicts import BY_DESIGN, FALSE, TRUE, key_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry.packaged.review_repo.ranking import Entry
    from registry.packaged.review_repo.verdicts import Depth

CENT = 0.01


def depth_section(depth: Depth | None, first: Sequence[Entry]) -> str:
    """The work of models on the entries *first*, those at the head of the ranking; empty if there were no models."""
    if depth is None:
        return ""
    lines = [_verified(depth, first), _read(depth, first)]
    if depth.misplaced:
        lines.append(f"{number(depth.misplaced, 'statement')} about lines that are not there did not count.")
    lines.append(
        "No cost was reported." if depth.cost is None else f"The agents of this run cost {_dollars(depth.cost)}."
    )
    lines.append("A model can err: the output `findings` holds all findings, and `fail-on` ignores what models say.")
    return f"## Read by models\n\n{' '.join(line for line in lines if line)}\n\n{_left_out(depth, first)}".rstrip()


def standing(depth: Depth | None, entry: Entry) -> str:
    """The word of a model about a listed *entry*, a clause of its evidence; empty if there were no models."""
    if depth is None:
        return ""
    verdict = depth.verdict_of(entry)
    if verdict is not None:
        return f"verified by a model at {code(verdict.place)}: {plain(verdict.why).rstrip('.')}"
    return "not shown to a model" if key_of(entry) in depth.withheld else "not verified by a model"


def _verified(depth: Depth, first: Sequence[Entry]) -> str:
    words = Counter(verdict.word for entry in first if (verdict := depth.verdict_of(entry)) is not None)
    told = f"Of the first {number(len(first), 'entry', 'entries')}, models verified {words.total()}"
    parts = [f"{words[word]} {word}" for word in (TRUE, FALSE, BY_DESIGN) if words[word]]
    told += f" ({', '.join(parts)})" if parts else ""
    rest = []
    if depth.withheld:
        rest.append(f"{len(depth.withheld)} about secrets were not shown to one")
    missing = len(first) - words.total() - len(depth.withheld)
    if missing:
        why = f" ({', '.join(map(plain, depth.unjudged))})" if depth.unjudged else ""
        rest.append(f"{missing} could not be verified{why}")
    return f"{'; '.join([told, *rest])}."


def _read(depth: Depth, first: Sequence[Entry]) -> str:
    own = [entry for entry in first if entry.first.finding.tool == MODEL]
    confirmed = sum(depth.keeps(entry) for entry in own)
    why = f", {', '.join(map(plain, depth.unread))} could not be read" if depth.unread else ""
    if not depth.read:
        return f"No file was read as a whole{why}."
    named = ", ".join(code(one_line(path, 120)) for path in depth.read)
    told = f"of {number(len(own), 'finding')} of theirs among the first, others confirmed {confirmed}"
    return f"Models read {named} for what scanners cannot see{why}; {told}."


def _left_out(depth: Depth, first: Sequence[Entry]) -> str:
    rows = []
    for entry in first:
        found = entry.first.finding
        if depth.keeps(entry):
            continue
        verdict = depth.verdict_of(entry)
        title = MEANINGS[found.meaning].title
        said = (verdict.word, plain(verdict.why), code(verdict.place)) if verdict else ("not confirmed", "", "")
        name = title if found.message == title else f"{title}: {found.message}"
        rows.append((code(f"{one_line(found.file, 120)}:{found.line}"), plain(name), *said))
    if not rows:
        return ""
    return f"Left out of the list:\n\n{table(('Place', 'Finding', 'Verdict', 'Why', 'Decided at'), rows)}"


def _dollars(amount: float) -> str:
    return f"${amount:.4f}" if 0 < amount < CENT else f"${amount:.2f}"
