"""The facts of a review as Markdown: people, hot files, habits, workflows, marks left in the code.

Pure. `report.py` puts them into the report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from registry.packaged.review_repo.facts import day
from registry.packaged.review_repo.languages import NOT_CODE
from registry.packaged.review_repo.markdown import code, number, plain, table

if TYPE_CHECKING:
    from collections.abc import Mapping

WORKFLOWS = 8
LANGUAGES = 12


def fact_sections(
    structure: Mapping[str, Any],
    history: Mapping[str, Any],
    scans: Mapping[str, Mapping[str, Any]],
    ages: Mapping[tuple[str, int], int],
) -> list[str]:
    """The sections of facts; empty ones if only a change is reviewed."""
    if structure.get("changed") is not None or not structure.get("files"):
        return []
    marks = scans.get("text", {}).get("todos", {})
    return [
        _people(history),
        _hot_files(structure, history),
        _habits(structure, marks, ages),
        _workflows(structure),
        _languages(structure),
    ]


def old_secrets(history: Mapping[str, Any]) -> str:
    """The section about secrets in old commits; empty if they were not searched."""
    found = history.get("secrets")
    if not found:
        return ""
    searched = f"The newest {found['commits']:,} commits were searched for tokens of known forms and private keys"
    searched += "" if found["whole"] else ", but not all of their changes: the limit of time or size was reached"
    if not found["places"]:
        return f"## Secrets in the history\n\n{searched}: none that the files no longer hold."
    rows = [
        (code(place["file"]), code(place["commit"]), place["on"], plain(place["rule"])) for place in found["places"]
    ]
    rest = found["count"] - len(rows)
    more = f"\n\n{number(rest, 'more place')}." if rest else ""
    told = "Everyone with a clone can read these, although the files no longer hold them: revoke them."
    return f"## Secrets in the history\n\n{searched}. {told}\n\n{table(('File', 'Commit', 'On', 'Kind'), rows)}{more}"


def _people(history: Mapping[str, Any]) -> str:
    if not history.get("commits"):
        return ""
    lines = [
        f"- {number(history['commits'], 'commit')} by {number(history['people'], 'person', 'people')}, "
        f"{history['since']} to {history['until']}; "
        f"{history['active']:,} of them with a commit in the last year of that time"
        + (f", and {number(history['bots'], 'bot')}" if history["bots"] else "")
    ]
    if history["truck_factor"]:
        names = ", ".join(
            f"{plain(author['name'])} ({'silent since ' if author['silent'] else 'last '}{author['last']})"
            for author in history["main_authors"]
        )
        rest = history["truck_factor"] - len(history["main_authors"])
        lines.append(
            f"- Truck factor {history['truck_factor']}: "
            f"more than half of the code has no one who knows it without {names}"
            + (f" and {rest} more" if rest > 0 else "")
        )
    if history["known"]:
        share = round(100 * history["orphaned"] / history["known"])
        lines.append(
            f"- {share}% of {number(history['known'], 'shipped file')} are known only to people "
            "without a commit in that year"
        )
    if history["changing"]:
        share = round(100 * history["tested"] / history["changing"])
        lines.append(
            f"- {share}% of {number(history['changing'], 'commit')} to shipped code in that year also change tests"
        )
    return "## People and history\n\n" + "\n".join(lines)


def _hot_files(structure: Mapping[str, Any], history: Mapping[str, Any]) -> str:
    files = history.get("files") or []
    if not files:
        reason = (
            "no code file changed more than once"
            if history or not structure.get("commits")
            else "the history could not be read"
        )
        return f"## Hot files\n\nNone: {reason if structure.get('commits') else 'there is no commit yet'}."
    rows = [
        (
            code(file["path"]),
            f"{file['heat']:.2f}",
            f"{file['changes']:,}",
            f"{plain(file['owner'])} {file['share']}%{'' if file['active'] else ', silent'}" if file["owner"] else "",
            f"{code(file['function'])} ({number(file['complexity'], 'path')}, line {file['line']})"
            if file["function"]
            else "",
            file["last"],
        )
        for file in files
    ]
    header = ("File", "Heat", "Changes", "Main author", "Most complex function", "Last change")
    text = (
        f"## Hot files\n\nThey change often and are complex, which is where mistakes gather.\n\n{table(header, rows)}"
    )
    pairs = history.get("coupled") or []
    if pairs:
        lines = [
            f"- {code(pair['left'])} and {code(pair['right'])}: {pair['together']} times, "
            f"{pair['percent']}% of the changes of one of them"
            for pair in pairs
        ]
        text += "\n\nFiles that change together, as a reader of either should know:\n\n" + "\n".join(lines)
    return text


def _habits(structure: Mapping[str, Any], marks: Mapping[str, Any], ages: Mapping[tuple[str, int], int]) -> str:
    practices = [practice for practice in structure.get("practices", ()) if practice.get("ok") is not None]
    lines = [f"- {'yes' if item['ok'] else '**no**'}: {item['name']} ({plain(item['detail'])})" for item in practices]
    if marks.get("count"):
        places = ((mark["file"], mark["line"]) for mark in marks["places"])
        dated = sorted((ages[place], *place) for place in places if place in ages)
        oldest = (
            f"; {_oldest(len(dated), marks['count'])} {code(f'{dated[0][1]}:{dated[0][2]}')}, {day(dated[0][0])}"
            if dated
            else ""
        )
        lines.append(f"- {number(marks['count'], 'mark')} of the kind TODO, FIXME, XXX or HACK in shipped code{oldest}")
    return "## Habits\n\n" + "\n".join(lines) if lines else ""


def _oldest(dated: int, count: int) -> str:
    """The words before the oldest of *count* marks, *dated* of which have a date."""
    if count == 1:
        return "it is"
    return "the oldest is" if dated == count else f"of {dated:,} that were dated, the oldest is"


def _workflows(structure: Mapping[str, Any]) -> str:
    facts = structure.get("workflows") or []
    if not facts:
        return ""
    lines = []
    for fact in facts[:WORKFLOWS]:
        parts = [] if fact["permissions"] else ["sets no rights"]
        if fact["unpinned"]:
            parts.append(f"{fact['unpinned']} of {number(fact['actions'], 'action')} without a fixed commit")
        parts += [f"uses {retired}" for retired in fact["retired"]]
        lines.append(f"- {code(fact['path'])}: {'; '.join(parts) or 'rights set, versions fixed'}")
    rest = f"\n- {number(len(facts) - WORKFLOWS, 'more workflow')}" if len(facts) > WORKFLOWS else ""
    return "## Workflows\n\n" + "\n".join(lines) + rest


def _languages(structure: Mapping[str, Any]) -> str:
    rows = [
        (plain(item["language"]), f"{item['files']:,}", f"{item['lines']:,}", f"{item['test_files']:,}")
        for item in structure.get("languages", ())[:LANGUAGES]
        if item["language"] not in NOT_CODE or item["lines"]
    ]
    if not rows:
        return ""
    folders = ", ".join(f"{code(item['folder'])} {item['lines']:,}" for item in structure.get("folders", ())[:8])
    where = f"\n\nLines of code by folder: {folders}." if folders else ""
    return f"## Languages\n\n{table(('Language', 'Files', 'Lines', 'Test files'), rows)}{where}"
