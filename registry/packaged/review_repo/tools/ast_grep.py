"""Ast-grep with our own rules, for all languages that it parses.

Effects: starts ast-grep on files by name, so that no ignore file counts. `-c` names our configuration; otherwise the
repository's would be used.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from registry.packaged.review_repo.findings import Hit
from registry.packaged.review_repo.meanings import MEANINGS
from registry.packaged.review_repo.rules import BY_ID, as_yaml
from registry.packaged.review_repo.tools.scan import Scan, Workshop, locate, scan

if TYPE_CHECKING:
    from registry.packaged.review_repo.programs import Finished

TOOL = "ast-grep"
SECONDS = 60.0
LANGUAGES = {
    "Python": (".py", {"Python"}),
    "JavaScript": (".js", {"JavaScript"}),
    "TypeScript": (".ts", {"TypeScript", "Tsx"}),
    "Go": (".go", {"Go"}),
    "Java": (".java", {"Java"}),
    "PHP": (".php", {"Php"}),
    "Ruby": (".rb", {"Ruby"}),
    "C#": (".cs", {"CSharp"}),
    "Rust": (".rs", {"Rust"}),
    "Kotlin": (".kt", {"Kotlin"}),
}
"""The languages with rules of ours: the ending by which ast-grep knows each, and its own names for it."""


def find(shop: Workshop) -> Scan:
    """Hits of our rules in all files of their languages."""
    program = locate("ast-grep-cli", "ast-grep")
    names: list[str] = []
    known: set[str] = set()
    for language, (suffix, its_names) in LANGUAGES.items():
        files = [
            file for file in shop.listing.of_language(language) if not file.path.endswith((".pyx", ".pyi", ".d.ts"))
        ]
        names += shop.names(files, suffix)
        known |= its_names if files else set()
    folder = shop.scratch / "ast-grep"
    (folder / "rules").mkdir(parents=True)
    (folder / "rules" / "all.yml").write_text(as_yaml(known), encoding="utf-8")
    (folder / "sgconfig.yml").write_text("ruleDirs: [rules]\n", encoding="utf-8")
    argv = [program, "scan", "-c", str(folder / "sgconfig.yml"), "--json=stream"]
    return scan(shop, TOOL, argv, names, lambda done: _read(done, shop), seconds=SECONDS)


def _read(done: Finished, shop: Workshop) -> list[Hit] | None:
    if done.code not in (0, 1):
        return None
    hits = []
    for line in done.stdout.splitlines():
        try:
            item = json.loads(line)
        except ValueError:
            return None
        # Comments that suppress a rule which is not ours come back as hits of their own.
        rule = BY_ID.get(item["ruleId"].partition("--")[0])
        if rule is not None:
            start, end = item["range"]["start"]["line"] + 1, item["range"]["end"]["line"] + 1
            hits.append(
                Hit(
                    tool=TOOL,
                    rule=rule.id,
                    meaning=rule.meaning,
                    severity=rule.severity,
                    confidence=rule.confidence,
                    file=shop.original(item["file"]),
                    line=start,
                    end=end,
                    message=MEANINGS[rule.meaning].title,
                )
            )
    return hits
