"""Reads the history of a repository: hot files and owners, who knows the code, what changes together.

Effects: runs `git log` and lizard, and reads the files of the repository in the working directory.
"""

from __future__ import annotations

import tempfile
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.packaged.review_repo import facts
from registry.packaged.review_repo.answer import Refusal, answering
from registry.packaged.review_repo.files import READ_LIMIT, Listing, relist
from registry.packaged.review_repo.git import git
from registry.packaged.review_repo.languages import NOT_CODE, Role
from registry.packaged.review_repo.log import FORMAT, HEADER, Commit, parse_log, with_one_name
from registry.packaged.review_repo.old_secrets import search
from registry.packaged.review_repo.programs import Deadline
from registry.packaged.review_repo.tools.lizard import Function, most_complex

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SECONDS = 60.0
"""Budget of this agent, below its node's timeout."""
COMMITS = 3_000
"""Newest commits that are read."""
WEIGHED_FILES = 600
TOP_FILES = 10
NOT_HOT = (Role.TEST, Role.GENERATED)
"""Files whose changes follow those of others."""


@answering
def review(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Agent `repo-history`: input `structure`, output `history`."""
    deadline = Deadline(SECONDS)
    whole = {**inputs, "structure": {**dict(inputs.get("structure") or {}), "changed": None}}
    listing, structure = relist(whole)
    limits: list[str] = []
    commits = read_log(listing.root, listing.scope, deadline, limits)
    if structure.get("shallow"):
        limits.append("The clone is shallow: changes before its first commit are not counted.")
    if int(structure.get("commits", 0)) > COMMITS:
        limits.append(f"Only the newest {COMMITS:,} commits were read.")
    code = {
        file.path: file.role
        for file in listing.files
        if file.language and file.language not in NOT_CODE and file.size <= READ_LIMIT
    }
    records = facts.records_of(commits, code)
    heat = facts.heat_of(records, _complexity(listing, records, deadline), code)
    written = (path for path in sorted(heat, key=lambda path: (-heat[path], path)) if code[path] not in NOT_HOT)
    hot = [*islice(written, TOP_FILES)]
    functions = _functions(listing, hot, limits)
    newest = max((commit.at for commit in commits), default=0)
    people = facts.people_of(commits)
    return {
        "history": {
            **_people(commits, code, records, people),
            "files": [
                _hot_file(path, records[path], people, newest, heat[path]) | _function(functions.get(path))
                for path in hot
            ],
            "weights": {path: value for path, value in sorted(heat.items()) if value >= facts.FAINT},
            "coupled": facts.coupled(commits, code),
            "secrets": search(listing) if structure.get("old-secrets") else None,
            "limits": [*limits, *listing.limits][:10],
        }
    }


def read_log(root: Path, scope: str, deadline: Deadline, limits: list[str]) -> list[Commit]:
    """The newest commits below *scope*; limits that were reached are added to *limits*."""
    done = git(
        root,
        "log",
        f"--max-count={COMMITS}",
        "--no-merges",
        "--raw",
        "--no-abbrev",
        "-z",
        "-M",
        "-l400",
        "--use-mailmap",
        "--no-color",
        "--no-ext-diff",
        "--no-textconv",
        "--no-show-signature",
        "--no-notes",
        "--relative",
        FORMAT,
        "HEAD",
        "--",
        scope,
        seconds=deadline.left * 0.7,
    )
    data = done.stdout
    if done.code != 0 and not data:
        # The contents of old files may be missing (a partial clone): without renames, names are enough.
        done = git(
            root,
            "log",
            f"--max-count={COMMITS}",
            "--no-merges",
            "--raw",
            "-z",
            "--no-renames",
            "--use-mailmap",
            "--no-color",
            "--no-show-signature",
            "--no-notes",
            "--relative",
            FORMAT,
            "HEAD",
            "--",
            scope,
            seconds=deadline.left * 0.7,
        )
        data = done.stdout
        limits.append("Old contents are not here, so renamed files were not followed.")
    if done.timed_out or done.truncated:
        limits.append("The log was cut at the limit of time or size: older commits are not counted.")
        data = data[: data.rfind(HEADER)] if HEADER in data else data
    return with_one_name(parse_log(data))


def _complexity(listing: Listing, records: Mapping[str, facts.Record], deadline: Deadline) -> dict[str, float]:
    """The nesting of the files that changed most."""
    changed = sorted(
        (path for path in records if records[path].changes > 1), key=lambda path: (-records[path].weight, path)
    )
    sources = {file.path: file for file in listing.files}
    wanted = [sources[path] for path in changed[:WEIGHED_FILES]]
    return {file.path: facts.nesting(text) for file, text in listing.texts(wanted, deadline)}


def _functions(listing: Listing, hot: Sequence[str], limits: list[str]) -> dict[str, Function]:
    with tempfile.TemporaryDirectory(prefix="review-") as scratch:
        try:
            functions, unread = most_complex(listing.root, hot, Path(scratch).resolve())
        except Refusal as refusal:
            limits.append(f"lizard did not finish, so no function is named: {refusal.message}.")
            return {}
    if unread:
        limits.append(f"lizard failed, so no function is named of: {', '.join(unread)}.")
    return functions


def _people(
    commits: Sequence[Commit], code: Mapping[str, Role], records: Mapping[str, facts.Record], people: Mapping[str, int]
) -> dict[str, Any]:
    newest = max((commit.at for commit in commits), default=0)
    shipped = {path: record for path, record in records.items() if code[path] is Role.SOURCE}
    factor, main = facts.truck_factor(shipped)
    silent, known = facts.orphaned(shipped, people, newest)
    with_tests, changing = facts.tested_share(commits, code)
    return {
        "commits": len(commits),
        "since": facts.day(min(commit.at for commit in commits)) if commits else None,
        "until": facts.day(newest) if commits else None,
        "people": len(people),
        "active": sum(not facts.is_silent(last, newest) for last in people.values()),
        "bots": len({commit.author for commit in commits if commit.by_bot}),
        "truck_factor": factor,
        "main_authors": [
            {"name": name, "last": facts.day(people[name]), "silent": facts.is_silent(people[name], newest)}
            for name in main[:5]
        ],
        "orphaned": silent,
        "known": known,
        "tested": with_tests,
        "changing": changing,
    }


def _hot_file(path: str, record: facts.Record, people: Mapping[str, int], newest: int, heat: float) -> dict[str, Any]:
    owner, most = record.authors.most_common(1)[0] if record.authors else ("", 0)
    return {
        "path": path,
        "heat": heat,
        "changes": record.changes,
        "authors": len(record.authors),
        "owner": owner,
        "share": round(100 * most / max(1, sum(record.authors.values()))),
        "active": bool(owner) and not facts.is_silent(people[owner], newest),
        "last": facts.day(record.last),
    }


def _function(function: Function | None) -> dict[str, Any]:
    if function is None:
        return {"function": None, "line": None, "complexity": None}
    return {"function": function.name[:100], "line": function.line, "complexity": function.complexity}
