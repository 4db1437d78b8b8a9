"""Ruff, for Python: mistakes, and the security rules that it shares with bandit.

Effects: starts ruff. `--isolated` keeps the repository's settings out, `--ignore-noqa` its comments, which
`suppression.py` reads instead.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from registry.packaged.review_repo.findings import Hit
from registry.packaged.review_repo.tools.scan import Scan, Workshop, locate, scan

if TYPE_CHECKING:
    from registry.packaged.review_repo.programs import Finished

TOOL = "ruff"
SECONDS = 60.0
_OPTIONS = (
    "check",
    "--isolated",
    "--no-cache",
    "--no-fix",
    "--exit-zero",
    "--quiet",
    "--ignore-noqa",
    "--output-format=json",
    "--target-version=py314",
)
_UNREAD = "E902"
# Groups, since a rule that a newer ruff no longer has would be an error by name.
SELECTED = "S1,S102,S108,S2,S3,S5,S6,S7,F4,F5,F6,F7,F8,E722,B0,B9,PLE,YTT,T10,ASYNC2,RUF006,RUF016,PLW15,PIE79"
_IGNORED = "S101,S103,S104,S105,S106,S107,S603,S607,F401,F403,F405,F841,B007,B008,B009,B010,B011,B904,B905"


RULES: dict[str, tuple[str, str, str]] = {
    "S102": ("eval", "medium", "low"),
    "S307": ("eval", "high", "medium"),
    "S301": ("deserialize", "medium", "medium"),
    "S302": ("deserialize", "medium", "medium"),
    "S506": ("deserialize", "high", "medium"),
    "S201": ("debug", "high", "medium"),
    "S202": ("archive", "medium", "medium"),
    "S314": ("xxe", "low", "low"),
    "S323": ("tls", "medium", "high"),
    "S501": ("tls", "high", "high"),
    "S507": ("tls", "medium", "high"),
    "S502": ("tls", "medium", "high"),
    "S503": ("tls", "medium", "medium"),
    "S504": ("tls", "low", "medium"),
    "S305": ("cipher", "medium", "medium"),
    "S304": ("cipher", "medium", "medium"),
    "S311": ("random", "medium", "low"),
    "S324": ("hash", "medium", "low"),
    "S303": ("hash", "medium", "low"),
    "S602": ("shell", "high", "medium"),
    "S604": ("shell", "medium", "low"),
    "S605": ("shell", "high", "medium"),
    "S608": ("sql", "high", "medium"),
    "S610": ("sql", "medium", "low"),
    "S611": ("sql", "medium", "low"),
    "S701": ("xss", "medium", "low"),
    "S702": ("xss", "medium", "low"),
    "S704": ("xss", "medium", "low"),
    "S308": ("xss", "medium", "low"),
    "S113": ("timeout", "low", "high"),
    "S306": ("temporary", "medium", "medium"),
    "S108": ("temporary", "low", "low"),
    "S110": ("swallowed", "low", "medium"),
    "S112": ("swallowed", "low", "medium"),
    "E722": ("swallowed", "low", "medium"),
    "F821": ("undefined", "high", "medium"),
    "F822": ("undefined", "medium", "medium"),
    "F823": ("undefined", "high", "high"),
    "F632": ("comparison", "high", "high"),
    "F634": ("comparison", "high", "high"),
    "F631": ("comparison", "high", "high"),
    "F811": ("bug", "low", "medium"),
    "F402": ("bug", "low", "medium"),
    "F601": ("bug", "medium", "high"),
    "F502": ("bug", "high", "high"),
    "F507": ("bug", "high", "high"),
    "F509": ("bug", "high", "high"),
    "F522": ("bug", "medium", "high"),
    "F523": ("bug", "medium", "high"),
    "F524": ("bug", "high", "high"),
    "F701": ("syntax", "high", "high"),
    "F702": ("syntax", "high", "high"),
    "F706": ("syntax", "high", "high"),
    "B006": ("shared-default", "medium", "low"),
    "B039": ("shared-default", "medium", "high"),
    "B023": ("late-binding", "medium", "low"),
    "B012": ("bug", "medium", "high"),
    "B015": ("comparison", "medium", "high"),
    "B016": ("bug", "high", "high"),
    "B018": ("bug", "low", "low"),
    "B020": ("bug", "medium", "low"),
    "B025": ("unreachable", "medium", "high"),
    "B030": ("bug", "medium", "high"),
    "B031": ("bug", "high", "medium"),
    "B035": ("bug", "medium", "high"),
    "B909": ("bug", "medium", "medium"),
    "B017": ("bug", "low", "medium"),
    "RUF006": ("task-lost", "medium", "high"),
    "PLW1509": ("bug", "low", "high"),
    "PIE794": ("bug", "low", "low"),
    "YTT101": ("comparison", "medium", "high"),
    "YTT102": ("comparison", "medium", "high"),
    "T100": ("bug", "medium", "low"),
    "RUF016": ("bug", "high", "high"),
    "ASYNC210": ("blocking", "medium", "high"),
    "ASYNC220": ("blocking", "medium", "high"),
    "ASYNC221": ("blocking", "medium", "high"),
    "ASYNC222": ("blocking", "medium", "high"),
    "ASYNC230": ("blocking", "low", "high"),
    "ASYNC251": ("blocking", "medium", "high"),
    "PLE0101": ("bug", "medium", "low"),
    "PLE0116": ("syntax", "high", "high"),
    "PLE0604": ("bug", "high", "high"),
    "PLE0605": ("bug", "medium", "medium"),
    "PLE0704": ("bug", "medium", "low"),
    "PLE1142": ("syntax", "high", "high"),
    "PLE1205": ("bug", "high", "high"),
    "PLE1206": ("bug", "high", "high"),
    "PLE1307": ("bug", "high", "high"),
    "PLE1310": ("bug", "medium", "medium"),
    "PLE2502": ("direction", "high", "medium"),
}
"""Meaning, severity and confidence of each rule that is asked for; the evidence around a hit can change the latter."""


def find(shop: Workshop) -> Scan:
    """Hits of ruff in all Python files."""
    program = locate("ruff", "ruff")
    files = [file for file in shop.listing.of_language("Python") if not file.path.endswith((".pyx", ".pyi"))]
    unread: list[str] = []

    def read(done: Finished) -> list[Hit] | None:
        return _read(done, shop, unread)

    names = shop.names(files, ".py")
    argv = [program, *_OPTIONS, f"--select={SELECTED}", f"--ignore={_IGNORED}", "--"]
    found = scan(shop, TOOL, argv, names, read, seconds=SECONDS)
    found.unread += unread
    return found


def _read(done: Finished, shop: Workshop, unread: list[str]) -> list[Hit] | None:
    try:
        items = json.loads(done.stdout or b"null")
    except ValueError:
        return None
    if not isinstance(items, list):
        return None
    hits = []
    for item in items:
        code, path = item.get("code") or "invalid-syntax", shop.original(item["filename"])
        if code == _UNREAD:
            unread.append(path)
            continue
        hit = _hit(code, path, item)
        if hit is not None:
            hits.append(hit)
    return hits


def _hit(code: str, path: str, item: dict[str, object]) -> Hit | None:
    place, end = item["location"], item["end_location"]
    assert isinstance(place, dict)  # noqa: S101 - ruff's format
    assert isinstance(end, dict)  # noqa: S101
    meaning = RULES.get(code) or (("syntax", "high", "medium") if code == "invalid-syntax" else None)
    if meaning is None:
        return None
    message = re.sub(r"^SyntaxError: ", "", str(item["message"]))
    return Hit(
        tool=TOOL,
        rule=code,
        meaning=meaning[0],
        severity=meaning[1],
        confidence=meaning[2],
        file=path,
        line=place["row"],
        end=end["row"],
        message=message,
    )
