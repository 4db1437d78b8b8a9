"""Which files of a project a command line can run: those that a yes covers.

Effects: looks at files, and reads the first line of programs. What lies outside the project is the machine's; what the
covered files call in turn is not followed, but for the modules that lie beside them.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from engine.variables import resolve
from registry.modules import Modules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PYTHON = Modules("Python", (".py", ".pyc", ".pth", ".so", ".pyd"))
VIRTUAL = Modules("Python", PYTHON.endings, everywhere=True)
NODE = Modules("JavaScript", (".js", ".cjs", ".mjs", ".ts", ".cts", ".mts", ".jsx", ".tsx", ".node"))
SHELL = Modules("shell", (".sh", ".bash", ".zsh", ".ksh"))
RUBY = Modules("Ruby", (".rb",))
PERL = Modules("Perl", (".pl", ".pm"))
NATIVE = Modules("native", (".so", ".dylib"))
_LANGUAGES = (PYTHON, NODE, SHELL, RUBY, PERL)
_INTERPRETERS = (
    (re.compile(r"python[\d.]*|pypy[\d.]*|\{python\}"), PYTHON),
    (re.compile(r"node|nodejs|bun|deno|tsx|ts-node"), NODE),
    (re.compile(r"sh|bash|dash|zsh|ksh|ash"), SHELL),
    (re.compile(r"ruby[\d.]*"), RUBY),
    (re.compile(r"perl[\d.]*"), PERL),
)
_PATH_VARIABLES = {
    "PYTHONPATH": PYTHON,
    "NODE_PATH": NODE,
    "RUBYLIB": RUBY,
    "PERL5LIB": PERL,
    "LD_LIBRARY_PATH": NATIVE,
    "DYLD_LIBRARY_PATH": NATIVE,
}
_PYTEST = (
    "conftest.py", "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "pyproject.toml", "tox.ini", "setup.cfg",
)  # fmt: skip
_PACKAGE = ("package.json",)
_PROJECT = ("pyproject.toml", "uv.toml", "uv.lock")
RUNNERS = {
    "make": ("GNUmakefile", "makefile", "Makefile"),
    "gmake": ("GNUmakefile", "makefile", "Makefile"),
    "just": ("justfile", "Justfile", ".justfile"),
    "rake": ("Rakefile",),
    "npm": _PACKAGE,
    "npx": _PACKAGE,
    "pnpm": _PACKAGE,
    "yarn": _PACKAGE,
    "bun": _PACKAGE,
    "node": _PACKAGE,
    "pytest": _PYTEST,
    "py.test": _PYTEST,
    "tox": ("tox.ini", "pyproject.toml", "setup.cfg"),
    "nox": ("noxfile.py",),
    "uv": _PROJECT,
    "uvx": _PROJECT,
    "poetry": ("pyproject.toml", "poetry.lock"),
}
"""The files in which a program looks for what it shall run, in the project's root and in folders named to it."""
DATA = frozenset({".csv", ".db", ".duckdb", ".jsonl", ".log", ".parquet", ".sqlite", ".sqlite3", ".tsv"})
"""Endings of files that a program works on; none of them is run by anything."""
_OUTPUT = re.compile(r"-o|--?(out|output|outfile|output-file|out-file|log|log-file|logfile|report|report-file)")
"""Options whose value is a file that the program writes."""
_QUOTE = re.compile("[\"']")
_WORD = re.compile(r"[^\s`;|&()<>=,:]+")
_CODE = re.compile(r"-[A-Za-z]*c")
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_LONGEST = 4096
"""Characters of a path, and bytes of a first line."""
_DEEPEST = 5
"""Interpreters of interpreters, and links to them."""


@dataclass(slots=True)
class Coverage:
    """Files and folders of modules, as absolute paths in the project."""

    root: Path
    files: set[Path] = field(default_factory=set)
    modules: set[tuple[Path, Modules]] = field(default_factory=set)
    search: str = ""
    """The search path of the command that is looked at."""

    def command(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        """Add what *argv* runs, started in the project's root with *env* beside the variables that are there."""
        self.search = resolve(env.get("PATH", "$PATH"), os.environ)
        folders = [self.root, *self._folders(argv)]
        said = [part for word in argv for part in (_words_in(word) or [word])]
        if _looks_in_working_folder(said):
            self.python_root()
        for name in {os.path.basename(word) for word in (*argv, *said)}:  # noqa: PTH119 - words, not paths
            self._runner(name, folders)
        for before, word in zip(("", *argv), argv, strict=False):
            if _OUTPUT.fullmatch(before):
                continue
            self._named(word)
            option, _, value = word.partition("=")
            if value and not _OUTPUT.fullmatch(option):
                self._named(value)
            self._on_path(word, 0)
        for word in {*said} - {*argv}:
            self._if_code(word)
        self.environment(env)

    def environment(self, env: Mapping[str, str]) -> None:
        """Add what variables name: code to load, and folders to look for modules in."""
        for name, value in env.items():
            for part in _words_in(value):
                self._if_code(part)
            searched = _PATH_VARIABLES.get(name)
            for part in value.split(os.pathsep) if searched is not None else ():
                path = self._inside(part or ".")
                if path is not None and searched is not None:
                    self.modules.add((path, searched))

    def python_root(self) -> None:
        """Add the modules that can be imported from the project's root."""
        self.modules.add((self.root, PYTHON))

    def _folders(self, argv: Sequence[str]) -> Iterator[Path]:
        for word in argv:
            path = self._inside(word)
            if path is not None and os.path.isdir(path):  # noqa: PTH112
                yield path

    def _named(self, name: str) -> None:
        """Add the file that an argument is, there or not; a folder is run by Python through a file in it."""
        path = self._inside(name)
        if path is None or path.suffix.lower() in DATA:
            return
        if not os.path.isdir(path):  # noqa: PTH112 - raises for no name
            self._program(path)
        elif path != self.root:
            self.files.add(path / "__main__.py")
            if os.path.lexists(path / "__main__.py"):
                self.modules.add((path, PYTHON))

    def _if_code(self, name: str) -> None:
        """Add the file that a part of an argument names where it is a program; text names many things."""
        path = self._inside(name)
        if path is not None and os.path.isfile(path) and self._language(path) is not None:  # noqa: PTH113
            self._program(path)

    def _program(self, path: Path, depth: int = 0) -> None:
        """Add a file that is run, the modules beside it, and what runs it."""
        if path in self.files or depth > _DEEPEST:
            return
        self.files.add(path)
        first = _first_line(path)
        kind = self._language(path, first)
        if kind is not None:
            self.modules.add((path.parent, kind))
        self._runtime(path)
        real = Path(os.path.realpath(path))
        if real != path and real.is_relative_to(self.root):
            self._program(real, depth + 1)  # Python looks for modules beside the file itself
        for word in first.split():
            interpreter = self._inside(word) if os.sep in word else None
            if interpreter is not None:
                self._program(interpreter, depth + 1)
            self._on_path(word, depth + 1)

    def _language(self, path: Path, first: str | None = None) -> Modules | None:
        """By its ending, else by the interpreter in its first line."""
        known = next((kind for kind in _LANGUAGES if path.suffix.lower() in kind.endings), None)
        if known is not None:
            return known
        words = (_first_line(path) if first is None else first).split()
        return next((kind for word in words if (kind := _kind_of(os.path.basename(word)))), None)  # noqa: PTH119

    def _runtime(self, path: Path) -> None:
        """Add the modules of the virtual environment that *path* is the Python or a script of."""
        home = path.parent.parent
        if home.is_relative_to(self.root) and os.path.lexists(home / "pyvenv.cfg"):
            self.files.add(home / "pyvenv.cfg")
            self.modules.add((home / "lib", VIRTUAL))

    def _on_path(self, word: str, depth: int) -> None:
        """Add the places in the project where the search path looks for *word*."""
        if os.sep in word or not word or word.startswith("-") or "\0" in word:
            return
        for folder in self.search.split(os.pathsep):
            inside = self._inside(folder or ".")
            if inside is not None:
                path = inside / word
                self.files.add(path)
                if os.path.isfile(path):  # noqa: PTH113
                    self._program(path, depth)

    def _runner(self, name: str, folders: Iterable[Path]) -> None:
        files = RUNNERS.get(name, ())
        for folder in folders:
            for file in files:
                self._program(folder / file)
        if files is _PYTEST:
            self.python_root()

    def _inside(self, name: str) -> Path | None:
        """The path that *name* is from the root on; None where that is outside, or none."""
        if not name or "\0" in name or len(name) > _LONGEST:
            return None
        if "$" in name:
            name = resolve(name, {"CLAUDE_PROJECT_DIR": os.fspath(self.root), "PWD": os.fspath(self.root)})
        path = Path(os.path.abspath(self.root / name))  # noqa: PTH100 - joins `..` without following links
        return path if path.is_relative_to(self.root) else None


def _looks_in_working_folder(words: Sequence[str]) -> bool:
    """Whether Python is started so that it imports from where it is started: by `-m`, by `-c`."""
    python = any(_kind_of(os.path.basename(word)) is PYTHON for word in words)  # noqa: PTH119
    module = any(before == "-m" and _MODULE.fullmatch(word) for before, word in pairwise(words))
    return module or (python and any(_CODE.fullmatch(word) for word in words))


def _words_in(text: str) -> list[str]:
    """What a shell might take for words."""
    return _WORD.findall(_QUOTE.sub("", text))


def _kind_of(name: str) -> Modules | None:
    """The modules that the interpreter *name* looks for."""
    return next((kind for form, kind in _INTERPRETERS if form.fullmatch(name)), None)


def _first_line(path: Path) -> str:
    """What stands behind `#!` in the first line of a regular file; empty for all others. It never waits."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError):
        return ""
    try:
        start = os.read(descriptor, _LONGEST) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    except OSError:
        return ""
    finally:
        os.close(descriptor)
    return os.fsdecode(start[2:].partition(b"\n")[0]) if start.startswith(b"#!") else ""
