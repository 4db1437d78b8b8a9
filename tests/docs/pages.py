"""Reads the documentation: its pages, their code blocks, tables and links, and runs what they show."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.installed import ORCHESTRATE

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))

_BLOCK = re.compile(r"^( *)```(?P<info>[^\n`]*)\n(?P<text>.*?)^\1```$", re.MULTILINE | re.DOTALL)
_OPTION = re.compile(r'(\w+)(?:="([^"]*)"|=(\S+))?')
_RUN_ID = re.compile(r"\br-[a-z0-9]{12}\b|\br-…")
_DATE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_TIME = re.compile(r"(?<![\w.])\d+(?:\.\d+)? ?(?:ms|s|min|h)\b")
ELISION = "…"


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, the words behind it, and its text."""

    page: Path
    line: int
    language: str
    options: dict[str, str]
    text: str

    @property
    def title(self) -> str | None:
        """The file that the block is, relative to the project."""
        return self.options.get("title")

    def __str__(self) -> str:
        """Where it is; pytest shows it."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        language, _, rest = match["info"].partition(" ")
        options = {name: quoted or plain for name, quoted, plain in _OPTION.findall(rest)}
        found.append(Block(page, text.count("\n", 0, match.start()) + 1, language, options, match["text"]))
    return found


ALL_BLOCKS = [block for page in PAGES for block in blocks(page)]
PLAYED = sorted({block.page for block in ALL_BLOCKS if block.language == "console" or block.title})


def rows_of(page: Path, name: str) -> list[list[str]]:
    """The rows, without code marks, of the table behind `<!-- tested: NAME -->`."""
    text = page.read_text(encoding="utf-8").partition(f"<!-- tested: {name} -->\n")[2]
    lines = [line for line in text.strip().split("\n\n")[0].splitlines() if line.startswith("|")]
    return [[_cell(cell) for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def _cell(text: str) -> str:
    return text.strip().strip("`").replace("\\|", "|")


def make_project(folder: Path) -> None:
    """A project with the guide's agents, its own settings and nothing else."""
    shutil.copytree(ROOT / ".claude" / "agents", folder / ".claude" / "agents")


def write_file(project: Path, block: Block) -> None:
    assert block.title is not None
    path = project / block.title
    assert path.resolve().is_relative_to(project.resolve())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text, encoding="utf-8")
    if block.text.startswith("#!"):
        path.chmod(0o755)


def play(project: Path, block: Block, home: Path) -> None:
    """Run the commands of a console block one by one, and compare what they print with what the page shows."""
    expected_code = int(block.options.get("exit", "0"))
    for command, shown in _commands(block.text):
        code, printed = run(project, command, home)
        assert code == expected_code, f"{block}: {command} exited with {code}\n{printed}"
        assert matches(shown, printed), f"{block}: {command} printed\n{printed}"


def _commands(text: str) -> list[tuple[str, str]]:
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    found = []
    for part in parts:
        command, _, shown = re.sub(r"\\\n\s*", "", part).partition("\n")
        found.append((command, shown))
    return found


def run(project: Path, command: str, home: Path) -> tuple[int, str]:
    """Exit code and output, both streams in one, of one command line of a page."""
    words = shlex.split(command)
    assert words[0] in {"orchestrate", "cat", "git", "ls", "rm", "python3"}, f"{command}: pages run nothing else"
    if words[0] == "orchestrate":
        words[:1] = [str(ORCHESTRATE)]
    elif words[0] == "python3":
        words[:1] = [sys.executable]
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONUTF8": "1",
        "CLAUDE_PROJECT_DIR": str(project),
    }
    done = subprocess.run(
        words,
        cwd=project,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=50,
        check=False,
    )
    return done.returncode, done.stdout


def matches(shown: str, printed: str) -> bool:
    """Whether *printed* is what the page shows: `…` on a line of its own stands for any lines; ids and times vary."""
    pattern = ""
    for line in shown.rstrip("\n").split("\n") if shown.strip() else [ELISION]:
        pattern += r"(?:.*\n)*?" if line.strip() == ELISION else re.escape(_normal(line)) + r"\n"
    return re.fullmatch(pattern, "".join(f"{_normal(line)}\n" for line in printed.rstrip("\n").split("\n"))) is not None


def _normal(line: str) -> str:
    line = _TIME.sub("TIME", _DATE.sub("DATE", _RUN_ID.sub("RUN", line)))
    return re.sub(r" {2,}", "  ", line).rstrip()
