"""The files of a project that a command line can run: an approval covers them.

Effects: lists files, and reads the first line of programs. Files outside the project belong to the machine. Calls of
the covered files are not followed, except to modules beside them.
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

from engine.text.variables import resolve
from registry.trust.modules import Modules, too_much

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def _any(_: str) -> bool:
    return True


def _visible(name: str) -> bool:
    return not name.startswith(".")


PYTHON = Modules("Python", (".py", ".pyc", ".pth", ".so", ".pyd"))
VIRTUAL = Modules("installed Python", PYTHON.endings, _any)
NODE = Modules("JavaScript", (".js", ".cjs", ".mjs", ".ts", ".cts", ".mts", ".jsx", ".tsx", ".node"), _visible)
SHELL = Modules("shell", (".sh", ".bash", ".zsh", ".ksh"), _visible)
RUBY = Modules("Ruby", (".rb",), _visible)
PERL = Modules("Perl", (".pl", ".pm"), _visible)
JAVA = Modules("Java", (".jar", ".class"), _visible)
NATIVE = Modules("native", (".so", ".dylib"), _visible)
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
    "PYTHONHOME": VIRTUAL,
    "PYTHONUSERBASE": VIRTUAL,
    "NODE_PATH": NODE,
    "RUBYLIB": RUBY,
    "GEM_HOME": RUBY,
    "GEM_PATH": RUBY,
    "PERL5LIB": PERL,
    "PERLLIB": PERL,
    "CLASSPATH": JAVA,
    "LD_LIBRARY_PATH": NATIVE,
    "DYLD_LIBRARY_PATH": NATIVE,
}
_OPTION_VARIABLES = {"RUBYOPT": RUBY, "PERL5OPT": PERL}
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
"""The files in which a program looks up what to run, in the project root and in folders named in its arguments."""
_CODE_ENDINGS = frozenset({
    ".awk", ".bat", ".class", ".cmd", ".dll", ".dylib", ".exe", ".exs", ".fish", ".go", ".gradle", ".groovy", ".jar",
    ".jl", ".lua", ".mak", ".mk", ".php", ".ps1", ".r", ".sed", ".tcl", ".wasm",
})  # fmt: skip
"""Endings of programs with an unknown kind of modules."""
_BINARY = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
DATA = frozenset({".csv", ".db", ".duckdb", ".jsonl", ".log", ".parquet", ".sqlite", ".sqlite3", ".tsv"})
"""Endings of data files, which nothing runs."""
_OUTPUT = re.compile(r"-o|--?(out|output|outfile|output-file|out-file|log|log-file|logfile|report|report-file)")
"""Options that name a file to write."""
_QUOTE = re.compile("[\"']")
_WORD = re.compile(r"[^\s`;|&()<>=,:]+")
_CODE = re.compile(r"-[A-Za-z]*c")
_ASSIGNED = re.compile(r"(?:^|(?<=[\s;&|(]))([A-Za-z_]\w*)=([^\s;&|()]*)")
"""A variable that a command line sets for its program."""
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_LONGEST = 4096
"""Characters of a path, and bytes of a first line."""
_MAX_PLACES = 100_000
"""Combinations of words and folders that are checked for one command line."""
_DEEPEST = 5
"""Chains of interpreters and links."""


@dataclass(slots=True)
class Coverage:
    """Files and folders of modules, as absolute paths in the project."""

    root: Path
    files: set[Path] = field(default_factory=set)
    modules: set[tuple[Path, Modules]] = field(default_factory=set)
    search: list[Path] = field(default_factory=list)
    """The folders of the project on the search path of the current command."""

    def command(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        """Add the files that *argv* runs, started in the project root with *env* added to the environment."""
        assigned = dict(pair for word in argv for pair in _ASSIGNED.findall(_QUOTE.sub("", word)))
        searched = resolve(env.get("PATH", "$PATH"), os.environ)
        search = resolve(assigned.get("PATH", "$PATH"), {"PATH": searched})
        self.search = [path for name in search.split(os.pathsep) if (path := self._inside(name or ".")) is not None]
        said = [part for word in argv for part in (_words_in(word) or [word])]
        folders = [self.root, *self._folders({*argv, *said})]
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
        for word in said:
            self._if_code(word)
            self._on_path(word, 0)
        self._elsewhere(folders[1:], said)
        kinds = {_kind_of(os.path.basename(word)) for word in said}  # noqa: PTH119 - words, not paths
        self._included(said, [kind for kind in (RUBY, PERL) if kind in kinds])
        self.environment(env)
        self.environment(assigned)

    def environment(self, env: Mapping[str, str]) -> None:
        """Add files that variables name: code to load, and folders to search for modules."""
        for name, value in env.items():
            words = _words_in(value)
            for part in words:
                self._if_code(part)
            if (kind := _OPTION_VARIABLES.get(name)) is not None:
                self._included(words, [kind])
            searched = _PATH_VARIABLES.get(name)
            for part in value.split(os.pathsep) if searched is not None else ():
                path = self._inside(part or ".")
                if path is not None and searched is not None:
                    self.modules.add((path, searched))

    def python_root(self) -> None:
        """Add the modules that can be imported from the project's root."""
        self.modules.add((self.root, PYTHON))

    def _elsewhere(self, folders: Sequence[Path], words: Sequence[str]) -> None:
        """Add programs that *words* name relative to other *folders*, to which a command line may change first."""
        if len(folders) * len(words) > _MAX_PLACES:
            raise too_much("a command line names too many folders and files")
        for folder in folders:
            for word in words:
                self._if_code(os.path.join(folder, word))  # noqa: PTH118 - a word may be no path

    def _included(self, words: Sequence[str], kinds: Sequence[Modules]) -> None:
        """Add the modules of folders named by `-I`, in one word or two."""
        for before, word in zip(("", *words), words, strict=False):
            folder = word if before == "-I" else word[2:] if word.startswith("-I") else ""
            path = self._inside(folder)
            if path is not None and os.path.isdir(path):  # noqa: PTH112
                self.modules.update((path, kind) for kind in kinds)

    def _folders(self, argv: Iterable[str]) -> Iterator[Path]:
        for word in argv:
            path = self._inside(word)
            if path is not None and os.path.isdir(path):  # noqa: PTH112
                yield path

    def _named(self, name: str) -> None:
        """Add the file that an argument names, existing or not; Python runs a folder through a file in it."""
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
        """Add the file that a part of an argument names, if it is a program, since text may name anything."""
        for said in (name, name[2:]) if name.startswith("-") else (name,):  # an option may include its value
            path = self._inside(said)
            if path is not None and os.path.isfile(path) and self._is_program(path):  # noqa: PTH113
                self._program(path)

    def _is_program(self, path: Path) -> bool:
        if path.suffix.lower() in DATA:
            return False
        start = _start_of(path)
        known = self._language(path, _first_line(start)) is not None or path.suffix.lower() in _CODE_ENDINGS
        return known or start.startswith(_BINARY) or (not path.suffix and os.access(path, os.X_OK))

    def _program(self, path: Path, depth: int = 0) -> None:
        """Add a file that is run, the modules beside it, and its interpreter."""
        if path in self.files or depth > _DEEPEST:
            return
        self.files.add(path)
        first = _first_line(_start_of(path))
        kind = self._language(path, first)
        if kind is not None:
            self.modules.add((path.parent, kind))
        self._runtime(path)
        real = Path(os.path.realpath(path))
        if real != path and real.is_relative_to(self.root):
            self._program(real, depth + 1)  # Python searches for modules beside the real file
        for word in first.split():
            interpreter = self._inside(word) if os.sep in word else None
            if interpreter is not None:
                self._program(interpreter, depth + 1)
            self._on_path(word, depth + 1)

    def _language(self, path: Path, first: str) -> Modules | None:
        """By its ending, or else by the interpreter in its first line."""
        known = next((kind for kind in _LANGUAGES if path.suffix.lower() in kind.endings), None)
        if known is not None:
            return known
        return next((kind for word in first.split() if (kind := _kind_of(os.path.basename(word)))), None)  # noqa: PTH119

    def _runtime(self, path: Path) -> None:
        """Add the modules of the virtual environment whose Python, or one of whose scripts, is *path*."""
        home = path.parent.parent
        if home.is_relative_to(self.root) and os.path.lexists(home / "pyvenv.cfg"):
            self.files.add(home / "pyvenv.cfg")
            self.modules.add((home / "lib", VIRTUAL))

    def _on_path(self, word: str, depth: int) -> None:
        """Add the places in the project where the search path may find *word*."""
        if os.sep in word or not word or word.startswith("-") or "\0" in word:
            return
        for folder in self.search:
            path = folder / word
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
        """The path of *name* relative to the root; None if that is outside, or not a path."""
        if not name or "\0" in name or len(name) > _LONGEST:
            return None
        if "$" in name:
            name = resolve(name, {"CLAUDE_PROJECT_DIR": os.fspath(self.root), "PWD": os.fspath(self.root)})
        root = os.fspath(self.root)
        path = os.path.abspath(os.path.join(root, name))  # noqa: PTH100, PTH118 - text: a hundred are asked for an agent
        return Path(path) if path == root or path.startswith(os.path.join(root, "")) else None  # noqa: PTH118


def _looks_in_working_folder(words: Sequence[str]) -> bool:
    """Whether Python is started by `-m` or `-c`, so that it imports from the working directory."""
    python = any(_kind_of(os.path.basename(word)) is PYTHON for word in words)  # noqa: PTH119
    module = any(before == "-m" and _MODULE.fullmatch(word) for before, word in pairwise(words))
    return module or (python and any(_CODE.fullmatch(word) for word in words))


def _words_in(text: str) -> list[str]:
    """Possible words of a shell."""
    return _WORD.findall(_QUOTE.sub("", text))


def _kind_of(name: str) -> Modules | None:
    """The kind of modules that the interpreter *name* imports."""
    return next((kind for form, kind in _INTERPRETERS if form.fullmatch(name)), None)


def _first_line(start: bytes) -> str:
    """The text after `#!` in the first line of a file that starts with *start*."""
    return os.fsdecode(start[2:].partition(b"\n")[0]) if start.startswith(b"#!") else ""


def _start_of(path: Path) -> bytes:
    """The start of a regular file; empty for anything else. It never blocks."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError):
        return b""
    try:
        return os.read(descriptor, _LONGEST) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    except OSError:
        return b""
    finally:
        os.close(descriptor)
