"""The meaning of the built-in checks: why each matters and what to do.

Pure: a table.
"""

from __future__ import annotations

from registry.packaged.review_repo.findings import Rule

_TABLE = (
    (
        "conflict-marker",
        "The file holds both sides of a merge, which no one intended.",
        "Resolve the conflict and commit the result.",
    ),
    (
        "bidi-control",
        "The code looks different from what it does, which can hide changes from reviewers.",
        "Remove the character, or write it as an escape.",
    ),
    (
        "json-syntax",
        "Programs that read the file fail, or ignore it.",
        "Correct the syntax; if the comments are intended, name it .jsonc or .json5.",
    ),
    ("toml-syntax", "Programs that read the file fail, or ignore it.", "Correct the syntax."),
    ("yaml-syntax", "Programs that read the file fail, or ignore it.", "Correct the syntax."),
    ("broken-link", "Readers end at a missing page.", "Correct the path or restore the file."),
    ("case-collision", "macOS and Windows can check out only one of the two files.", "Rename one of them."),
    ("unportable-name", "A checkout on Windows stops at this file.", "Rename it."),
    (
        "leftover-file",
        "It changes with every machine and makes diffs noisy.",
        "Remove it with `git rm --cached` and add it to .gitignore.",
    ),
    (
        "env-file",
        "Files of this name sooner or later contain secrets.",
        "Keep a template such as .env.example and ignore the file itself.",
    ),
    (
        "large-file",
        "History keeps it forever, and every clone and CI job downloads it.",
        "Move it to Git LFS or a release asset.",
    ),
    (
        "symlink-outside",
        "It works on one machine only, and programs that follow it read files outside the project.",
        "Use a relative link inside the repository, or a setting.",
    ),
    ("symlink-broken", "Tools that follow links stop here.", "Correct or remove the link."),
    (
        "ignored-but-tracked",
        "Changes to it are recorded although the ignore rule says otherwise.",
        "Remove it with `git rm --cached`, or exclude it from the rule in .gitignore.",
    ),
)

RULES = {code: Rule(code=code, name=code, why=why, fix=fix) for code, why, fix in _TABLE}
