"""Says whether one file can be parsed: Python, JSON, TOML, XML, and JavaScript where node is installed.

It takes the input `file`, {path}, and outputs `problems`, a list of texts; a file of any other kind has none. Put your
own check of one file here (a compiler, a linter), and let it say what is wrong.

Effects: reads the file, and runs `node --check` for JavaScript.
"""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Callable

PARSERS: dict[str, Callable[[str], object]] = {
    ".py": ast.parse,
    ".pyi": ast.parse,
    ".json": json.loads,
    ".toml": tomllib.loads,
    ".xml": ET.fromstring,
    ".svg": ET.fromstring,
}


def problems(path: Path) -> list[str]:
    """The reasons why the file at *path* cannot be parsed."""
    if not path.resolve().is_relative_to(Path.cwd().resolve()):
        return ["it is outside of the project"]
    if not path.is_file():
        return ["the file is gone"]
    if path.suffix in {".js", ".cjs", ".mjs"} and (node := shutil.which("node")):
        ran = subprocess.run([node, "--check", path.resolve()], capture_output=True, text=True, check=False)
        return [ran.stderr.strip()[-1000:]] if ran.returncode else []
    parse = PARSERS.get(path.suffix)
    try:
        if parse is not None:
            parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:  # all of these parsers raise one of both
        return [f"{type(error).__name__}: {error}"]
    return []


if __name__ == "__main__":
    file = json.load(sys.stdin)["inputs"]["file"]
    json.dump({"outputs": {"problems": problems(Path(file["path"]))}}, sys.stdout)
