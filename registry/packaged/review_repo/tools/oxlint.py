"""Oxlint, for JavaScript, TypeScript, Vue and Svelte: an allow-list of rules that are right when they speak.

Effects: starts oxlint with our configuration alone; neither nested settings nor ignore files of the repository count.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from registry.packaged.review_repo.findings import Hit
from registry.packaged.review_repo.tools.scan import Scan, Workshop, locate, scan

if TYPE_CHECKING:
    from registry.packaged.review_repo.programs import Finished

TOOL = "oxlint"
SECONDS = 60.0
LANGUAGES = ("JavaScript", "TypeScript", "Vue", "Svelte")
RULES: dict[str, tuple[str, str, str]] = {
    "eslint/no-eval": ("eval", "high", "medium"),
    "eslint/no-new-func": ("eval", "medium", "medium"),
    "eslint/no-implied-eval": ("eval", "medium", "medium"),
    "eslint/no-self-compare": ("comparison", "medium", "high"),
    "eslint/no-unsafe-optional-chaining": ("null", "medium", "high"),
    "eslint/no-unsafe-negation": ("comparison", "high", "high"),
    "eslint/use-isnan": ("comparison", "high", "high"),
    "eslint/valid-typeof": ("comparison", "high", "high"),
    "eslint/no-constant-binary-expression": ("comparison", "medium", "high"),
    "eslint/no-compare-neg-zero": ("comparison", "medium", "high"),
    "eslint/no-dupe-keys": ("bug", "medium", "high"),
    "eslint/no-dupe-else-if": ("unreachable", "high", "high"),
    "eslint/no-dupe-class-members": ("bug", "medium", "high"),
    "eslint/no-duplicate-case": ("unreachable", "medium", "high"),
    "eslint/no-const-assign": ("bug", "high", "high"),
    "eslint/no-class-assign": ("bug", "medium", "high"),
    "eslint/no-import-assign": ("bug", "high", "high"),
    "eslint/no-obj-calls": ("bug", "high", "high"),
    "eslint/getter-return": ("bug", "medium", "high"),
    "eslint/no-this-before-super": ("bug", "high", "high"),
    "eslint/no-unsafe-finally": ("bug", "medium", "high"),
    "eslint/no-unreachable": ("unreachable", "low", "high"),
    "eslint/no-invalid-regexp": ("bug", "high", "high"),
    "eslint/no-async-promise-executor": ("promise", "medium", "medium"),
    "eslint/no-cond-assign": ("bug", "medium", "low"),
    "eslint/no-self-assign": ("bug", "low", "low"),
    "eslint/no-debugger": ("bug", "medium", "high"),
    "eslint/for-direction": ("bug", "high", "high"),
    "eslint/no-loss-of-precision": ("bug", "low", "medium"),
    "oxc/bad-comparison-sequence": ("comparison", "medium", "high"),
    "oxc/bad-array-method-on-arguments": ("bug", "medium", "high"),
    "oxc/bad-char-at-comparison": ("comparison", "medium", "high"),
    "oxc/bad-min-max-func": ("bug", "medium", "high"),
    "oxc/bad-object-literal-comparison": ("comparison", "medium", "high"),
    "oxc/bad-replace-all-arg": ("bug", "medium", "high"),
    "oxc/const-comparisons": ("comparison", "medium", "high"),
    "oxc/double-comparisons": ("comparison", "low", "high"),
    "oxc/missing-throw": ("bug", "high", "high"),
    "oxc/number-arg-out-of-range": ("bug", "medium", "high"),
    "oxc/uninvoked-array-callback": ("bug", "medium", "high"),
    "react/rules-of-hooks": ("hooks", "high", "medium"),
    "react/jsx-key": ("react-key", "low", "medium"),
    "react/jsx-no-duplicate-props": ("bug", "medium", "high"),
    "react/no-direct-mutation-state": ("bug", "medium", "high"),
    "typescript/no-misused-new": ("bug", "medium", "high"),
    "typescript/no-duplicate-enum-values": ("bug", "medium", "high"),
    "typescript/no-unsafe-declaration-merging": ("bug", "low", "medium"),
    "unicorn/no-await-in-promise-methods": ("promise", "low", "high"),
    "unicorn/no-unnecessary-await": ("bug", "low", "low"),
}
_PREFIX = {
    "react-hooks": "react",
    "typescript-eslint": "typescript",
    "@typescript-eslint": "typescript",
    "eslint-plugin-react": "react",
}
_CODE = re.compile(r"(?P<plugin>[@\w-]+)\((?P<rule>[\w/-]+)\)")


def find(shop: Workshop) -> Scan:
    """Hits of oxlint in all files of its languages."""
    program = locate("oxlint", "oxlint")
    settings = shop.scratch / "oxlint.json"
    content = {
        "plugins": ["oxc", "react", "typescript", "unicorn"],
        "categories": {"correctness": "off"},
        "rules": dict.fromkeys(RULES, "error"),
    }
    settings.write_text(json.dumps(content), encoding="utf-8")
    names: list[str] = []
    for language in LANGUAGES:
        files = [file for file in shop.listing.of_language(language) if not file.path.endswith(".d.ts")]
        names += shop.names(files, ".js" if language == "JavaScript" else "")
    argv = [program, "-c", str(settings), "--disable-nested-config", "--no-ignore", "-f", "json"]
    unread: list[str] = []
    found = scan(shop, TOOL, argv, names, lambda done: _read(done, shop, unread), seconds=SECONDS)
    found.unread += unread
    return found


def _read(done: Finished, shop: Workshop, unread: list[str]) -> list[Hit] | None:
    try:
        items = json.loads(done.stdout)["diagnostics"]
    except (ValueError, KeyError, TypeError):
        return None
    hits = []
    for item in items:
        code = _CODE.fullmatch(item.get("code") or "")
        path = shop.original(item.get("filename") or "")
        if code is None:
            # A file that it cannot parse: Flow, a template, an odd dialect.
            unread.append(path)
            continue
        name = f"{_PREFIX.get(code['plugin'], code['plugin'])}/{code['rule']}"
        known = RULES.get(name)
        if known is not None:
            labels = item.get("labels") or [{}]
            line = (labels[0].get("span") or {}).get("line", 1)
            hits.append(
                Hit(
                    tool=TOOL,
                    rule=code["rule"],
                    meaning=known[0],
                    severity=known[1],
                    confidence=known[2],
                    file=path,
                    line=line,
                    message=str(item["message"]),
                )
            )
    return hits
