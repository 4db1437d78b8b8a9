"""Writes the review as Markdown: the verdict, the first things to do, hot spots, and the coverage.

Pure. Everything from the repository is shown as plain text: no name or message can add Markdown or HTML.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from registry.packaged.review_repo.answer import answering, section
from registry.packaged.review_repo.findings import SEVERITIES, one_line
from registry.packaged.review_repo.languages import NOT_CODE
from registry.packaged.review_repo.markdown import code, plain, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TOP = 20
"""Findings shown with reasons."""
TOP_PER_RULE = 3
WORTH = 1.0
"""Below this score, a finding is shown only in the table of rules, except the first `AT_LEAST`."""
AT_LEAST = 5
OFTEN = 5
"""From this many changes, the verdict names a hot spot."""
MINOR_SHARE = 0.05
"""From this share of the code, the verdict mentions a language without a linter."""
RULE_ROWS = 25
SIZE = 80_000
"""Characters of a report."""

_REVIEWERS = {
    "lint": ("Python lint", "python_files", "no Python files"),
    "security": ("Python security", "python_files", "no Python files"),
    "secrets": ("Secrets", "files", "no files"),
    "hygiene": ("Data files, links, leftovers", "files", "no files"),
}
_ESSENTIAL = ("README", "Licence", "Tests", "Continuous integration")


@answering
def review(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Agent `repo-reporter`: `structure`, `hotspots`, `findings` and `ranking`; output `report`."""
    structure, hotspots, ranking = (section(inputs, name) for name in ("structure", "hotspots", "ranking"))
    value = inputs.get("findings")
    findings = [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
    parts = [
        _head(structure),
        _verdict(structure, hotspots, findings, ranking),
        _top(findings, ranking),
        _rules(ranking),
        _hot_spots(structure, hotspots),
        _languages(structure),
        _practices(structure),
        _coverage(structure, hotspots, ranking),
    ]
    text = "\n\n".join(part for part in parts if part) + "\n"
    return {"report": text if len(text) <= SIZE else text[:SIZE] + "\n\n… the report was cut here.\n"}


def _head(structure: Mapping[str, Any]) -> str:
    scope = structure.get("scope", ".")
    where = "the whole repository" if scope == "." else code(str(scope))
    commit = structure.get("commit")
    at = f"commit {code(str(commit))}" if commit else "no commit yet"
    branch = f" on {code(str(structure['branch']))}" if structure.get("branch") else ""
    return (
        f"# Repository review\n\nReviewed: {where}, {at}{branch}; {_number(structure.get('files', 0), 'file')}, "
        f"{_number(structure.get('code_lines', 0), 'line')} of code."
    )


def _verdict(
    structure: Mapping[str, Any],
    hotspots: Mapping[str, Any],
    findings: Sequence[Mapping[str, Any]],
    ranking: Mapping[str, Any],
) -> str:
    act, look, minor = (int(ranking.get(name, 0)) for name in ("act", "look", "minor"))
    if not structure.get("files"):
        return "## Verdict\n\n**There is nothing to review**: the repository holds no files that people wrote."
    if act:
        headline = f"**{_number(act, 'place')} to act on**, {look:,} worth a look, {minor:,} minor."
    elif look:
        headline = f"**Nothing urgent**: {_number(look, 'place')} worth a look, {minor:,} minor."
    elif minor:
        headline = f"**In good order**: {_number(minor, 'minor finding')} only."
    else:
        headline = "**Nothing found** by the checks that ran."
    sentences = [headline]
    if findings and (act or look):
        first = findings[0]
        sentences.append(f"Start with {_place(first)}: {plain(first['message']).rstrip('.')}.")
    hot = hotspots.get("files") or []
    if hot and hot[0]["changes"] >= OFTEN:
        sentences.append(f"Most changes are in {code(hot[0]['path'])} ({_number(hot[0]['changes'], 'change')}).")
    absent = [
        item["name"] for item in structure.get("practices", ()) if item["ok"] is False and item["name"] in _ESSENTIAL
    ]
    if absent:
        sentences.append(f"Not found: {', '.join(absent)}.")
    unlinted = _unlinted(structure)
    if unlinted and unlinted[0] == structure["languages"][0]["language"]:
        sentences.append(f"No linter for {plain(unlinted[0])} is part of this review.")
    lost = [_REVIEWERS[name][0] for name in _lost(structure, ranking)]
    if lost:
        sentences.append(f"**Incomplete**: {', '.join(lost)} did not finish.")
    severities = ranking.get("severities", {})
    counts = " · ".join(f"{name} {severities.get(name, 0):,}" for name in SEVERITIES)
    return f"## Verdict\n\n{' '.join(sentences)}\n\nAll findings by severity, tests and examples included: {counts}."


def _unlinted(structure: Mapping[str, Any]) -> list[str]:
    """Languages with a notable share of the code that only the language-independent checks covered."""
    least = MINOR_SHARE * structure.get("code_lines", 0)
    return [
        item["language"]
        for item in structure.get("languages", ())
        if item["language"] != "Python" and item["language"] not in NOT_CODE and item["lines"] > least
    ]


def _lost(structure: Mapping[str, Any], ranking: Mapping[str, Any]) -> list[str]:
    """Reviewers that had something to review but returned no answer."""
    ran = {reviewer["name"] for reviewer in ranking.get("reviewers", ()) if reviewer.get("ran")}
    return [name for name, (_, needs, _) in _REVIEWERS.items() if name not in ran and structure.get(needs)]


def _top(findings: Sequence[Mapping[str, Any]], ranking: Mapping[str, Any]) -> str:
    if not findings:
        return ""
    explained: dict[str, int] = {}
    items: list[str] = []
    for entry in findings:
        seen = explained.get(entry["rule"], 0)
        if len(items) >= TOP or seen >= TOP_PER_RULE or (entry["score"] < WORTH and len(items) >= AT_LEAST):
            continue
        explained[entry["rule"]] = seen + 1
        items.append(f"{len(items) + 1}. {_entry(entry, explain=seen == 0)}")
    return "## Top findings\n\n" + "\n".join(items) + f"\n\nRanking: {plain(str(ranking.get('formula', '')))}."


def _entry(entry: Mapping[str, Any], *, explain: bool) -> str:
    also = ""
    if entry["count"] > 1:
        lines = ", ".join(str(line) for line in entry["lines"])
        more = entry["count"] - 1 - len(entry["lines"])
        also = f" (also line{'s' if len(entry['lines']) > 1 else ''} {lines}{f' and {more} more' if more > 0 else ''})"
        also = also if lines else ""
    tags = [entry["severity"]]
    if entry["confidence"] != "high":
        tags.append(f"{entry['confidence']} confidence")
    if entry["role"] != "source":
        tags.append(entry["role"])
    if entry["heat"] >= 1.4:  # noqa: PLR2004 - hot enough to say so
        tags.append("hot spot")
    text = f"**{', '.join(tags)}** {_place(entry)} {code(entry['rule'])} {plain(entry['message'])}{also}"
    if not explain:
        return text
    url = str(entry.get("url", ""))
    link = f" ([rule]({url}))" if re.fullmatch(r"https://[\w./#%-]+", url) else ""
    advice = " ".join(part for part in (_labelled("Why", entry.get("why")), _labelled("Do", entry.get("fix"))) if part)
    return f"{text}  \n   {advice}{link}" if advice or link else text


def _labelled(label: str, text: object) -> str:
    plain_text = plain(str(text or "")).strip()
    return f"{label}: {plain_text}{'' if plain_text.endswith(('.', '…')) else '.'}" if plain_text else ""


def _rules(ranking: Mapping[str, Any]) -> str:
    rows = [
        (code(row["rule"]), plain(row["name"]) if row["name"] != row["rule"] else "", row["tool"], row["severity"],
         f"{row['count']:,}", f"{row['files']:,}", _place(row))
        for row in ranking.get("rules", ())
    ]  # fmt: skip
    if not rows:
        return ""
    rest = (
        f"\n\n{len(rows) - RULE_ROWS} more rules with findings of lower rank are left out."
        if len(rows) > RULE_ROWS
        else ""
    )
    header = ("Rule", "Name", "Tool", "Severity", "Findings", "Files", "Worst place")
    return f"## Findings by rule\n\n{table(header, rows[:RULE_ROWS])}{rest}"


def _hot_spots(structure: Mapping[str, Any], hotspots: Mapping[str, Any]) -> str:
    files = hotspots.get("files") or []
    if not files:
        reason = "there is no commit yet" if not structure.get("commits") else "no code file changed more than once"
        if not hotspots and structure.get("commits"):
            reason = "the history could not be read"
        return f"## Hot spots\n\nNone: {reason}."
    rows = [
        (code(file["path"]), f"{file['score']:.2f}", f"{file['changes']:,}", f"{file['churn']:,}", f"{file['lines']:,}",
         f"{file['authors']} ({plain(file['main_author'])} {file['main_share']}%)", file["last"])
        for file in files[:12]
    ]  # fmt: skip
    header = ("File", "Score", "Changes", "Lines changed", "Lines now", "Authors (main)", "Last change")
    text = (
        f"## Hot spots\n\nFiles that change often and are complex, from {_number(hotspots['commits'], 'commit')} "
        f"by {_number(hotspots['authors'], 'author')} ({hotspots['since']} to {hotspots['until']}). "
        "Score: recent changes (half-life 180 days) x nesting-weighted size, logarithmic, 0 to 1.\n\n"
        f"{table(header, rows)}"
    )
    pairs = hotspots.get("coupled") or []
    if pairs:
        lines = [
            f"- {code(pair['left'])} and {code(pair['right'])}: {pair['together']} times, "
            f"{pair['percent']}% of the changes of the one that changes less"
            for pair in pairs
        ]
        text += "\n\nFiles that change together, as a reader of either should know:\n\n" + "\n".join(lines)
    return text


def _languages(structure: Mapping[str, Any]) -> str:
    rows = [
        (plain(item["language"]), f"{item['files']:,}", f"{item['lines']:,}", f"{item['test_files']:,}")
        for item in structure.get("languages", ())[:12]
    ]
    if not rows:
        return ""
    folders = ", ".join(f"{code(item['folder'])} {item['lines']:,}" for item in structure.get("folders", ())[:8])
    where = f"\n\nLines of code by folder: {folders}." if folders else ""
    return f"## Languages\n\n{table(('Language', 'Files', 'Lines', 'Test files'), rows)}{where}"


def _practices(structure: Mapping[str, Any]) -> str:
    practices = [practice for practice in structure.get("practices", ()) if practice.get("ok") is not None]
    if not practices or not structure.get("files"):
        return ""
    lines = [f"- {'yes' if item['ok'] else '**no**'}: {item['name']} ({plain(item['detail'])})" for item in practices]
    if structure.get("todos"):
        lines.append(f"- {_number(structure['todos'], 'mark')} of the kind TODO, FIXME, XXX or HACK in the code")
    return "## Project habits\n\n" + "\n".join(lines)


def _coverage(structure: Mapping[str, Any], hotspots: Mapping[str, Any], ranking: Mapping[str, Any]) -> str:
    lines = []
    reviewers = {reviewer["name"]: reviewer for reviewer in ranking.get("reviewers", ())}
    lost = _lost(structure, ranking)
    for name, (title, _, nothing) in _REVIEWERS.items():
        reviewer = reviewers.get(name, {})
        if reviewer.get("ran"):
            note = f", {plain(reviewer['note'])}" if reviewer.get("note") else ""
            lines.append(
                f"- {title}: {reviewer['tool']}, {_number(reviewer['files'], 'file')}, "
                f"{_number(reviewer['total'], 'finding')}{note}"
            )
        elif name in lost:
            lines.append(f"- {title}: **did not finish**; the run's failures say why")
        else:
            lines.append(f"- {title}: skipped, {nothing}")
    if not structure.get("commits"):
        lines.append("- History: skipped, no commits")
    if unlinted := _unlinted(structure):
        lines.append(f"- No linter and no security scanner of this review reads {plain(', '.join(unlinted))}")
    for item in structure.get("skipped", ()):
        examples = ", ".join(code(path) for path in item["examples"][:2])
        lines.append(f"- Left out as {plain(item['reason'])}: {_number(item['count'], 'path')}, such as {examples}")
    limits = [*structure.get("limits", ()), *hotspots.get("limits", ())]
    limits += [limit for reviewer in reviewers.values() for limit in reviewer.get("limits", ())]
    lines += [f"- Limit: {plain(limit)}" for limit in dict.fromkeys(limits)]
    lines.append("- No program, test or build of the repository was run; nothing was written to it.")
    return "## Coverage\n\n" + "\n".join(lines)


def _place(entry: Mapping[str, Any]) -> str:
    return code(f"{one_line(entry['file'], 200)}:{entry['line']}")


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
