"""Writes the review as Markdown: a verdict, the findings, facts, and what was not read.

Pure. Everything from the repository is shown as plain text: no name or message can add Markdown or HTML.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from registry.packaged.review_repo.depth_lines import depth_section, standing
from registry.packaged.review_repo.fact_lines import fact_sections, old_secrets
from registry.packaged.review_repo.facts import day
from registry.packaged.review_repo.findings import one_line
from registry.packaged.review_repo.languages import NOT_CODE
from registry.packaged.review_repo.markdown import code, number, plain, table
from registry.packaged.review_repo.meanings import MEANINGS
from registry.packaged.review_repo.ranking import FORMULA, LISTED, factors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from registry.packaged.review_repo.ranked import Ranked
    from registry.packaged.review_repo.ranking import Entry
    from registry.packaged.review_repo.verdicts import Depth

SIZE = 80_000
"""Characters of a report."""
RULE_ROWS = 25
OTHER_PLACES = 4
SERIOUS = ("critical", "high")
READ_BY = {
    "Python": ("ruff", "ast-grep"),
    "JavaScript": ("oxlint", "ast-grep"),
    "TypeScript": ("oxlint", "ast-grep"),
    "Vue": ("oxlint",),
    "Svelte": ("oxlint",),
    "Go": ("ast-grep",),
    "Java": ("ast-grep",),
    "PHP": ("ast-grep",),
    "Ruby": ("ast-grep",),
    "C#": ("ast-grep",),
    "Rust": ("ast-grep",),
    "Kotlin": ("ast-grep",),
    "Shell": ("shellcheck",),
    "Dockerfile": ("docker",),
}
"""The scanners of each language."""
_AGENTS = {
    "code": "the scanners of code",
    "automation": "the scanners of scripts, workflows and containers",
    "text": "the search for secrets and broken data files",
}


def write(found: Ranked, listed: Sequence[Entry], depth: Depth | None = None) -> str:
    """The report on *found*; *depth* is what models did, None if there were none."""
    structure, history, scans = found.structure, found.history, found.scans
    parts = [
        _head(structure),
        _verdict(structure, scans, listed),
        _findings(found.entries, listed, found.ages, depth),
        depth_section(depth, found.first),
        _packages(structure, listed),
        old_secrets(history),
        *fact_sections(structure, history, scans, found.ages),
        _rules(found.entries, listed),
        _not_read(structure, history, scans),
    ]
    text = "\n\n".join(part for part in parts if part) + "\n"
    return text if len(text) <= SIZE else text[:SIZE] + "\n\n… the report was cut here.\n"


def problems(structure: Mapping[str, Any], scans: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A sentence for each scanner that did not run or finish, each language that none reads, and each limit."""
    lines = [f"{lost.capitalize()} did not finish; the run's failures say why." for lost in _lost(structure, scans)]
    for output in scans.values():
        for each in output.get("scans", ()):
            if each["problem"] and each["files"] + (each["problem"] == "not installed"):
                lines.append(f"{each['tool']}: {each['problem']}.")
            if each["unread"]:
                examples = ", ".join(each["examples"][:2])
                lines.append(f"{each['tool']} did not read {number(each['unread'], 'file')}, such as {examples}.")
    foreign = [
        f"{item['language']} ({number(item['files'], 'file')}, {number(item['lines'], 'line')})"
        for item in structure.get("languages", ())
        if item["language"] not in NOT_CODE and item["language"] not in READ_BY
    ]
    if foreign:
        lines.append(f"No scanner reads {', '.join(foreign)}.")
    return [one_line(line, 300) for line in lines]


def _head(structure: Mapping[str, Any]) -> str:
    scope = structure.get("scope", ".")
    where = "the whole repository" if scope == "." else code(str(scope))
    commit = structure.get("commit")
    at = f"commit {code(str(commit))}" if commit else "no commit yet"
    branch = f" on {code(str(structure['branch']))}" if structure.get("branch") else ""
    changed = structure.get("changed")
    size = f"{number(structure.get('files', 0), 'file')}, {number(structure.get('code_lines', 0), 'line')} of code"
    if changed is not None:
        size = f"only what changed since {code(str(structure.get('since')))}: {number(len(changed), 'file')}"
    return f"# Repository review\n\nReviewed: {where}, {at}{branch}; {size}."


def _verdict(structure: Mapping[str, Any], scans: Mapping[str, Mapping[str, Any]], listed: Sequence[Entry]) -> str:
    serious = [entry for entry in listed if entry.first.finding.severity in SERIOUS]
    rest = len(listed) - len(serious)
    if not structure.get("files"):
        sentence = "**There is nothing to review**: the repository holds no files that people wrote."
    elif structure.get("changed") == {}:
        sentence = "**There is nothing to review**: nothing changed since that revision."
    elif serious:
        first = serious[0].first.finding
        more = f"; {number(rest, 'more entry', 'more entries')} worth a look" if rest else ""
        sentence = (
            f"**{number(len(serious), 'serious finding')}**, first of all {_lower(MEANINGS[first.meaning].title)} "
            f"in {code(f'{first.file}:{first.line}')}{more}."
        )
    elif listed:
        sentence = f"**Nothing serious was found** in what was read; {number(rest, 'entry', 'entries')} worth a look."
    else:
        sentence = "**Nothing serious was found** in what was read, and nothing else that is worth a place here."
    lost = _lost(structure, scans)
    incomplete = f" **Incomplete**: {', '.join(lost)} did not finish." if lost else ""
    return f"## Verdict\n\n{sentence}{incomplete}"


def _lost(structure: Mapping[str, Any], scans: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The agents that did not finish; without files, none is asked to."""
    return [_AGENTS[name] for name, output in scans.items() if not output] if structure.get("files") else []


def _lower(title: str) -> str:
    return title if title[:2].isupper() else title[0].lower() + title[1:]


def _findings(
    entries: Sequence[Entry], listed: Sequence[Entry], ages: Mapping[tuple[str, int], int], depth: Depth | None
) -> str:
    if not listed:
        return ""
    items = [f"{place}. {_entry(entry, ages, depth)}" for place, entry in enumerate(listed, start=1)]
    left = sum(len(entry.places) for entry in entries) - sum(len(entry.places) for entry in listed)
    more = (
        f" {number(left, 'finding')} of lower rank are in the table of rules and in the output `findings`."
        if left
        else ""
    )
    return f"## Findings\n\n{chr(10).join(items)}\n\nAt most {LISTED} entries.{more} {FORMULA[0].upper()}{FORMULA[1:]}."


def _entry(entry: Entry, ages: Mapping[tuple[str, int], int], depth: Depth | None) -> str:
    one = entry.first
    found, meaning = one.finding, MEANINGS[one.finding.meaning]
    title = meaning.title if found.message == meaning.title else f"{meaning.title}: {_ended(found.message)[:-1]}"
    where = f" ({one.role.value})" if factors(one)["place"] < 1 else ""
    lines = [f"**{found.severity}** {code(f'{one_line(found.file, 200)}:{found.line}')}{where} {plain(title)}"]
    if found.evidence:
        lines.append(code(found.evidence))
    lines.append(f"Why: {_said(found.why or meaning.why)} Do: {_said(found.fix or meaning.fix)}")
    lines.append(_standing(entry, ages, depth))
    return "  \n   ".join(lines)


def _said(text: str) -> str:
    return plain(_ended(text))


def _standing(entry: Entry, ages: Mapping[tuple[str, int], int], depth: Depth | None) -> str:
    """Why the entry stands where it stands."""
    one = entry.first
    found = one.finding
    parts = [f"{' and '.join(one.tools)} {code(found.rule)}", f"{found.confidence} confidence"]
    parts += [plain(reason) for reason in found.reasons]
    if len(entry.places) > 1:
        others = ", ".join(
            code(f"{place.finding.file}:{place.finding.line}") for place in entry.places[1 : OTHER_PLACES + 1]
        )
        more = len(entry.places) - 1 - OTHER_PLACES
        files = f" in {number(entry.files, 'file')}" if entry.files > 1 else ""
        parts.append(
            f"{number(len(entry.places), 'place')}{files}, also {others}{f' and {more} more' if more > 0 else ''}"
        )
    at = ages.get((found.file, found.line))
    if at is not None:
        parts.append(f"last changed {day(at)}")
    parts += [said] if (said := standing(depth, entry)) else []
    product = " x ".join(f"{value:g}" for value in factors(one).values())
    return f"Evidence: {'; '.join(parts)}. Score {one.score:g} = {product}."


def _ended(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _packages(structure: Mapping[str, Any], listed: Sequence[Entry]) -> str:
    if not structure.get("packages"):
        return ""
    groups: dict[str, list[int]] = defaultdict(list)
    for place, entry in enumerate(listed, start=1):
        for package in sorted({one.package for one in entry.places}):
            groups[package].append(place)
    rows = [(code(package), ", ".join(map(str, places))) for package, places in sorted(groups.items())]
    quiet = len(set(structure["packages"]) - groups.keys())
    if not rows:
        return ""
    rest = f"\n\n{number(quiet, 'other package')} without a listed finding." if quiet else ""
    return f"## By package\n\n{table(('Package', 'Findings above'), rows)}{rest}"


def _rules(entries: Sequence[Entry], listed: Sequence[Entry]) -> str:
    counts: Counter[tuple[str, str]] = Counter()
    files: dict[tuple[str, str], set[str]] = defaultdict(set)
    first: dict[tuple[str, str], Entry] = {}
    shown = {id(entry) for entry in listed}
    above: set[tuple[str, str]] = set()
    for entry in entries:
        for one in entry.places:
            key = (one.finding.tool, one.finding.rule)
            counts[key] += 1
            files[key].add(one.finding.file)
            first.setdefault(key, entry)
            if id(entry) in shown:
                above.add(key)
    rows = []
    for key in list(first)[:RULE_ROWS]:
        found = first[key].first.finding
        rows.append(
            (
                f"{key[0]} {code(key[1])}",
                plain(MEANINGS[found.meaning].title),
                found.severity,
                f"{counts[key]:,}",
                f"{len(files[key]):,}",
                code(f"{one_line(found.file, 120)}:{found.line}"),
                "yes" if key in above else "no",
            )
        )
    if not rows:
        return ""
    rest = f"\n\n{number(len(first) - RULE_ROWS, 'more rule')} of lower rank." if len(first) > RULE_ROWS else ""
    header = ("Rule", "Meaning", "Severity", "Places", "Files", "First place", "Listed")
    return f"## Findings by rule\n\n{table(header, rows)}{rest}"


def _reader(scan: Mapping[str, Any]) -> str:
    """A scanner with the number of files that it read; empty if it read none."""
    given, read = scan["files"], scan["files"] - scan["unread"]
    if read <= 0 or (scan["problem"] and not scan["unread"]):
        return ""
    return f"{scan['tool']} ({f'{read:,} of ' if read < given else ''}{number(given, 'file')})"


def _not_read(structure: Mapping[str, Any], history: Mapping[str, Any], scans: Mapping[str, Mapping[str, Any]]) -> str:
    lines = []
    tools = [tool for output in scans.values() for each in output.get("scans", ()) if (tool := _reader(each))]
    if tools:
        lines.append(f"- Read by {', '.join(tools)}")
    lines += [f"- {plain(line.removesuffix('.'))}" for line in problems(structure, scans)]
    dropped: Counter[str] = Counter()
    for output in scans.values():
        dropped.update(output.get("dropped", {}))
    lines += [f"- Left out as {plain(reason)}: {number(count, 'place')}" for reason, count in sorted(dropped.items())]
    silenced = scans.get("text", {}).get("silenced", ())
    if silenced:
        lines.append(
            f"- {number(len(silenced), 'file')} with a comment that switches checks off, such as {code(silenced[0])}: "
            f"{_their(silenced)} security was reviewed all the same"
        )
    if structure.get("generated"):
        count = len(structure["generated"])
        lines.append(
            f"- {number(count, 'file')} marked as generated, such as {code(structure['generated'][0])}: "
            f"only {_their(structure['generated'])} security was reviewed"
        )
    for item in structure.get("skipped", ()):
        examples = ", ".join(code(path) for path in item["examples"][:2])
        lines.append(f"- Not read, {plain(item['reason'])}: {number(item['count'], 'path')}, such as {examples}")
    if not structure.get("commits"):
        lines.append("- No history: there is no commit yet")
    limits = [*structure.get("limits", ()), *history.get("limits", ())]
    limits += [limit for output in scans.values() for limit in output.get("limits", ())]
    lines += [f"- Limit: {plain(limit)}" for limit in dict.fromkeys(limits)]
    lines.append("- No program, test or build of the repository was run; nothing was written to it.")
    return "## What was read, and what was not\n\n" + "\n".join(lines)


def _their(files: Sequence[str]) -> str:
    return "its" if len(files) == 1 else "their"
