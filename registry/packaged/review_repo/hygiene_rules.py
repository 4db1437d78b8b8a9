"""What the built-in checks mean: why each matters and what to do.

Pure: a table.
"""

from __future__ import annotations

from registry.packaged.review_repo.findings import Rule

_TABLE = (
    (
        "conflict-marker",
        "The file holds both sides of a merge and cannot be what anybody meant.",
        "Resolve the conflict and commit the result.",
    ),
    (
        "bidi-control",
        "The code reads otherwise than it runs; the trick hides changes from reviewers.",
        "Remove the character, or write it as an escape.",
    ),
    (
        "json-syntax",
        "Whatever reads the file fails, or ignores it.",
        "Correct the syntax; if comments are meant to be there, name it .jsonc or .json5.",
    ),
    ("toml-syntax", "Whatever reads the file fails, or ignores it.", "Correct the syntax."),
    ("yaml-syntax", "Whatever reads the file fails, or ignores it.", "Correct the syntax."),
    ("broken-link", "Readers end at a missing page.", "Correct the path or restore the file."),
    ("case-collision", "macOS and Windows can check out only one of the two files.", "Rename one of them."),
    ("unportable-name", "A checkout on Windows stops at this file.", "Rename it."),
    (
        "leftover-file",
        "It changes with every machine and makes diffs noisy.",
        "git rm --cached it and add it to .gitignore.",
    ),
    (
        "env-file",
        "Files of this name hold secrets sooner or later.",
        "Keep a template such as .env.example and ignore the file itself.",
    ),
    (
        "large-file",
        "History keeps it for ever, and every clone and CI job loads it.",
        "Move it to Git LFS or a release asset.",
    ),
    (
        "symlink-outside",
        "It works on one machine only, and programs that follow it read what is not the project's.",
        "Use a relative link inside the repository, or a setting.",
    ),
    ("symlink-broken", "Tools that follow links stop here.", "Correct or remove the link."),
    (
        "ignored-but-tracked",
        "Changes to it are recorded although somebody decided they should not be.",
        "git rm --cached it, or except it in .gitignore.",
    ),
)

RULES = {code: Rule(code=code, name=code, why=why, fix=fix) for code, why, fix in _TABLE}
