"""Completes a command line for a shell: commands, their options, `/names`, runs, nodes, agents, templates.

Effects: reads command files, agent files and the journal; prints proposals. It imports Python's own modules and a few
of ours that import nothing, since a person waits for each key: the engine and the parser of command lines stay out.
The options come from a table that is made of the command line (`options.json`).

Only names that mean nothing to a shell are proposed: files of a project may hold others. Where the state folder is
not certain at a glance, no runs are proposed.
"""

from __future__ import annotations

import json
import os
import re
import sys

from engine.statefolder.quick_look import Uncertain, quick_state
from mcp_server.cli.line import configuration, root_of
from mcp_server.cli.run_rows import connected, rows_in
from registry.files.places import AGENTS, COMMANDS, roots

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any, TypeAlias

    Proposals: TypeAlias = Iterable[tuple[str, str]]
    """Words with what they are."""

SHELLS = ("bash", "zsh", "fish")
MOST = 500
"""Proposals of one kind; a person who sees more types another letter."""
MAX_FILE_BYTES = 1_000_000
_SAFE = re.compile(r"[\w./:@#+-]+")
# Each is tried at every line of files that strangers write: no space is taken twice, so that a try ends at once.
_NAME = re.compile(
    r"""^[ \t]*+(?:"name"[ \t]*+:[ \t]*+"|name:[ \t]*+["']?)(/[a-z0-9-]+)["']?,?[ \t\r]*+$""", re.MULTILINE
)
_INLINE = re.compile(r'"name"\s{0,9}:\s{0,9}"(/[a-z0-9-]+)"')
_SENTENCE = re.compile(r"""^[ \t]*+"?description"?[ \t]*+:[ \t]*+["']?([^"'\n]*)""", re.MULTILINE)
_AGENT = re.compile(r"""^name:[ \t]*+["']?([^"'\n]{1,100})["']?[ \t\r]*+$""", re.MULTILINE)
_FRONT = re.compile(r"\A\ufeff?---[ \t\r]*+\n(.*?)\n---", re.DOTALL)
_HERE = os.path.dirname(os.path.abspath(__file__))
_PACKAGED = os.path.join(_HERE, "..", "..", "registry", "packaged")
_LIBRARY = "ORCHESTRATION_LIBRARY"
CHOICES = {
    ("run", "--executor"): ("auto", "claude", "simulate"),
    ("plan", "--format"): ("text", "mermaid", "json", "svg"),
    ("report", "--format"): ("text", "html"),
    ("status", "--view"): ("summary", "outputs", "report"),
    ("runs", "--state"): ("completed", "degraded", "failed", "cancelled", "interrupted", "running", "compensated"),
}
"""Values of options that are one of a few words."""


class Line:
    """A command line that is being typed."""

    def __init__(self, words: Sequence[str], current: str) -> None:
        """*words* are those before the *current* one, without the program's name."""
        self.current = current
        self.named: list[str] = []
        rest = list(words)
        while rest and rest[0].startswith("-"):
            option = rest.pop(0)
            if option == "--project" and rest:
                self.named = [option, rest.pop(0)]
            elif option.startswith("--project="):
                self.named = [option]
        self.command = rest.pop(0) if rest else ""
        self.rest = rest

    @property
    def root(self) -> str:
        """The root of the project: as the command line finds it, or the nearest folder that could be one."""
        try:
            return root_of(self.named)
        except (Uncertain, OSError):
            pass
        named = self.named[-1].removeprefix("--project=") if self.named else os.getcwd()
        start = folder = os.path.realpath(os.path.expanduser(named))
        home = os.path.realpath(os.path.expanduser("~"))
        while folder not in {home, "/"}:
            if any(os.path.isdir(os.path.join(folder, name)) for name in (".claude", ".git")):
                return folder
            folder = os.path.dirname(folder)
        return start


def answer(arguments: Sequence[str]) -> None:
    """Print the proposals for a shell: its name, then the words up to the cursor, the last of them unfinished.

    bash, which splits words at colons, passes the line instead.

    Nothing is ever reported: a fault means no proposals.
    """
    try:
        shell, *words = arguments
        if shell == "bash":
            words = split(words[0])
        line = Line(words[1:-1], words[-1] if len(words) > 1 else "")
        found = [one for one in proposals(line) if one[0].startswith(line.current) and _SAFE.fullmatch(one[0])]
        sys.stdout.write("".join(f"{_shown(shell, line.current, word, text)}\n" for word, text in found))
        sys.stdout.flush()
    except Exception:  # noqa: BLE001, S110 - a shell would print it into the line that is being typed
        pass


def split(text: str) -> list[str]:
    """The words of a command line up to the cursor; the last one, which may be empty, is unfinished."""
    import shlex  # noqa: PLC0415 - zsh and fish split it themselves

    try:
        words = shlex.split(text)
    except ValueError:  # a quote is still open
        words = text.split()
    return words if text[-1:].strip() else [*words, ""]


def _shown(shell: str, current: str, word: str, text: str) -> str:
    """One proposal as *shell* takes it."""
    said = "".join(letter for letter in text if letter.isprintable())[:80]
    if shell == "zsh":
        escaped = word.replace(":", "\\:")
        return f"{escaped}:{said}" if said else escaped
    if shell == "fish":
        return f"{word}\t{said}"
    # bash replaces what follows the last of these characters only
    return word[max(current.rfind(mark) for mark in ":=") + 1 :]


def proposals(line: Line) -> Proposals:
    """All words that could stand at the cursor of *line*, whatever was typed of them."""
    with open(os.path.join(_HERE, "options.json"), encoding="utf-8") as file:
        table: dict[str, Any] = json.load(file)
    command = table.get(line.command)
    if command is None:
        if not line.command and line.current.startswith("-"):
            return [("--project", "Project root"), ("--version", "Print the version"), ("--help", "Show help")]
        return [] if line.command else [(name, one["summary"]) for name, one in table.items()]
    options: dict[str, Any] = command["options"]
    before = line.rest[-1] if line.rest else ""
    if options.get(before, {}).get("value"):
        return _values(line, before)
    option, mark, _ = line.current.partition("=")
    if mark and options.get(option, {}).get("value"):
        return [(f"{option}={word}", text) for word, text in _values(line, option)]
    if line.current.startswith("-"):
        return [(name, one["help"]) for name, one in options.items()]
    names = [name for name in command["arguments"] if name]
    place = len(_arguments(line.rest, options))
    if place >= len(names) and not (names and command["many"]):
        return []
    return _of_kind(line, names[min(place, len(names) - 1)])


def _arguments(words: Sequence[str], options: dict[str, Any]) -> list[str]:
    """The words among *words* that are neither options nor their values."""
    found = []
    waits = False
    for word in words:
        if waits:
            waits = False
        elif word.startswith("-"):
            waits = bool(options.get(word, {}).get("value"))
        else:
            found.append(word)
    return found


def _values(line: Line, option: str) -> Proposals:
    choices = CHOICES.get((line.command, option))
    if choices is not None:
        return [(choice, "") for choice in choices]
    kinds = {"--command": "name", "--release": "run_id", "--from": "template", "--pattern": "pattern"}
    if option in kinds:
        return _of_kind(line, kinds[option])
    if option == "--fail":
        return [(f"{node}=error", "") for node in _nodes_of_command(line.root, next(iter(line.rest), ""))]
    return []


def _of_kind(line: Line, kind: str) -> Proposals:
    """Words of the *kind* of an argument, named as in the command line's own functions."""
    kinds: dict[str, Callable[[], Proposals]] = {
        "source": lambda: commands(line.root),
        "name": lambda: commands(line.root) if line.command == "runs" else _nodes(line),
        "run_id": lambda: runs(line.root),
        "node": lambda: _nodes(line),
        "items": lambda: [(f"agent:{name}", text) for name, text in agents(line.root)],
        "template": _templates,
        "pattern": lambda: [(name.partition("/")[2], "") for name, _ in _templates() if name.startswith("patterns/")],
        "shell": lambda: [(shell, "") for shell in SHELLS],
    }
    found = kinds.get(kind)
    return [] if found is None or (line.command == "new" and kind == "name") else found()


def commands(root: str) -> list[tuple[str, str]]:
    """The names of v2 commands with their sentences: the project's, the user's, and the packaged ones."""
    found: dict[str, str] = {}
    for folder in _folders(root, f"{COMMANDS}/v2", "commands"):
        for path in _files(folder, (".json", ".yaml", ".yml")):
            text = _text(path)
            name = _NAME.search(text) or _INLINE.search(text)
            if name is not None:
                sentence = _SENTENCE.search(text)
                found.setdefault(name[1], sentence[1] if sentence else "")
    return sorted(found.items())[:MOST]


def agents(root: str) -> list[tuple[str, str]]:
    """The ids of agents with their descriptions: the project's, the user's, and the packaged ones."""
    found: dict[str, str] = {}
    for folder in _folders(root, AGENTS, "agents"):
        for path in _files(folder, (".md",)):
            front = _FRONT.match(_text(path))
            head = front[1] if front else ""
            name = _AGENT.search(head)
            sentence = _SENTENCE.search(head)
            stem = os.path.basename(path).rpartition(".")[0]
            found.setdefault(name[1].strip() if name else stem, sentence[1] if sentence else "")
    return sorted(found.items())[:MOST]


def runs(root: str) -> list[tuple[str, str]]:
    """The newest runs with what they are."""
    state = _state(root)
    return [] if state is None else [(row.run, f"{row.command} {row.status}") for row in rows_in(state)]


def _nodes(line: Line) -> Proposals:
    """The nodes of the run that *line* names."""
    state = _state(line.root)
    named = next((word for word in line.rest if not word.startswith("-")), "")
    if state is None or not named:
        return []
    db = connected(state)
    try:
        row = db.execute("SELECT data FROM events WHERE run=? AND seq=0", (named,)).fetchone()
    finally:
        db.close()
    nodes = json.loads(row[0])["plan"]["nodes"] if row else []
    return [(node["id"], node["task"]) for node in nodes][:MOST]


def _nodes_of_command(root: str, name: str) -> list[str]:
    """The ids of the nodes in the file of command *name*."""
    for folder in _folders(root, f"{COMMANDS}/v2", "commands"):
        for path in _files(folder, (".json", ".yaml", ".yml")):
            text = _text(path)
            found = _NAME.search(text) or _INLINE.search(text)
            if found is not None and found[1] == name:
                return [*_nodes_in(json.loads(text))] if path.endswith(".json") else _nodes_in_yaml(text)
    return []


def _nodes_in(part: dict[str, Any]) -> Iterator[str]:
    for phase in part.get("phases", ()):
        for node in phase["agents"]:
            yield node["id"]
            way = f"{node['id']}/*" if "forEach" in node or "repeat" in node else node["id"]
            yield from (f"{way}/{inner}" for inner in _nodes_in(node))


def _nodes_in_yaml(text: str) -> list[str]:
    """The ids of its nodes, by indentation, without those in nodes: reading YAML takes longer than all of this."""
    found = []
    lists: list[tuple[int, str]] = []
    for line in text.splitlines():
        bare = line.strip()
        depth = len(line) - len(line.lstrip())
        if bare and not bare.startswith("#"):
            lists = [one for one in lists if one[0] < depth or (one[0] == depth and bare.startswith("- "))]
            if bare in {"agents:", "phases:"}:
                lists.append((depth, bare))
            elif bare.startswith("- id:") and [word for _, word in lists] == ["phases:", "agents:"]:
                found.append(bare[5:].split("#")[0].strip().strip("\"'"))
    return found


def _templates() -> list[tuple[str, str]]:
    folder = os.path.join(_PACKAGED, "templates")
    kinds = ("patterns", "gallery")
    return [(f"{kind}/{name}", "") for kind in kinds for name in _listed(os.path.join(folder, kind))]


def _folders(root: str, place: str, packaged: str) -> Iterator[str]:
    """The folders of files of one kind, the project's first; not behind links that lead outside of it."""
    library = os.environ.get(_LIBRARY)
    for owner, base in roots(root, os.path.expanduser("~"), os.path.join(root, library) if library else None):
        folder = os.path.join(base, place)
        if owner != "project" or f"{os.path.realpath(folder)}/".startswith(f"{os.path.realpath(root)}/"):
            yield folder
    yield os.path.join(_PACKAGED, packaged)


def _files(folder: str, endings: tuple[str, ...]) -> Iterator[str]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (os.path.join(place, name) for name in sorted(names) if name.endswith(endings))


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _text(path: str) -> str:
    """The text of a regular file of ordinary size; empty for anything else."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    with os.fdopen(opened, "rb") as file:
        return file.read(MAX_FILE_BYTES).decode("utf-8", "replace")


def _state(root: str) -> str | None:
    try:
        return quick_state(root, configuration())
    except (Uncertain, OSError):
        return None
