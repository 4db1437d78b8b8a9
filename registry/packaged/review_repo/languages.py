"""Classifies a file by its path: its language, its role, and whether people wrote it.

Pure. `marks_generated` and `script_language` examine the text for a "generated" mark and a shebang.
"""

from __future__ import annotations

import re
from enum import StrEnum


class Role(StrEnum):
    """The role of a file; findings in shipped code weigh most."""

    SOURCE = "source"
    EXAMPLE = "example"
    """Examples, documentation, benchmarks, build scripts."""
    GENERATED = "generated"
    """Marked as written by a program; only its security is reviewed, since the mark is the repository's own word."""
    TEST = "test"


_LANGUAGES = {
    "Python": "py pyi pyx",
    "JavaScript": "js jsx mjs cjs",
    "TypeScript": "ts tsx mts cts",
    "Vue": "vue",
    "Svelte": "svelte",
    "Go": "go",
    "Rust": "rs",
    "Java": "java",
    "Kotlin": "kt kts",
    "Scala": "scala",
    "Groovy": "groovy gradle",
    "C": "c h",
    "C++": "cc cpp cxx hh hpp hxx",
    "C#": "cs",
    "F#": "fs fsx",
    "Objective-C": "m mm",
    "Swift": "swift",
    "Dart": "dart",
    "Ruby": "rb rake",
    "PHP": "php",
    "Perl": "pl pm",
    "Lua": "lua",
    "R": "r",
    "Julia": "jl",
    "Elixir": "ex exs",
    "Erlang": "erl hrl",
    "Haskell": "hs",
    "OCaml": "ml mli",
    "Clojure": "clj cljs cljc",
    "Elm": "elm",
    "Zig": "zig",
    "Nim": "nim",
    "Shell": "sh bash zsh fish",
    "PowerShell": "ps1 psm1",
    "SQL": "sql",
    "HTML": "html htm",
    "CSS": "css scss sass less",
    "Terraform": "tf",
    "Protocol Buffers": "proto",
    "GraphQL": "graphql gql",
    "Assembly": "s asm",
    "CMake": "cmake",
    "Markdown": "md markdown mdx",
    "reStructuredText": "rst",
    "JSON": "json jsonc json5",
    "YAML": "yaml yml",
    "TOML": "toml",
    "XML": "xml xsd xsl",
}
_BY_SUFFIX = {suffix: language for language, suffixes in _LANGUAGES.items() for suffix in suffixes.split()}
_BY_NAME = {
    "dockerfile": "Dockerfile",
    "containerfile": "Dockerfile",
    "makefile": "Make",
    "gnumakefile": "Make",
    "cmakelists.txt": "CMake",
    "rakefile": "Ruby",
    "gemfile": "Ruby",
    "jenkinsfile": "Groovy",
}
_BY_INTERPRETER = {
    "python": "Python",
    "bash": "Shell",
    "sh": "Shell",
    "zsh": "Shell",
    "node": "JavaScript",
    "ruby": "Ruby",
    "perl": "Perl",
    "php": "PHP",
}
NOT_CODE = frozenset({"Markdown", "reStructuredText", "JSON", "YAML", "TOML", "XML"})
"""Languages that count as text, not as code lines or hot spots."""

_VENDORED = frozenset(
    {
        "node_modules",
        "bower_components",
        "vendor",
        "vendored",
        "_vendor",
        "third_party",
        "third-party",
        "thirdparty",
        "external",
        "extern",
        "site-packages",
        ".venv",
        "venv",
        "virtualenv",
        "pods",
        "carthage",
        "__pypackages__",
        "deps_vendor",
    }
)
_GENERATED_FOLDERS = frozenset(
    {
        "__pycache__",
        ".next",
        ".nuxt",
        ".tox",
        ".nox",
        ".eggs",
        "__generated__",
        "generated",
        ".gradle",
    }
)
_GENERATED_AT_TOP = frozenset(
    {
        "dist",
        "out",
        "target",
        "coverage",
        "htmlcov",
        "_build",
    }
)
_GENERATED_NAME = re.compile(
    r"(\.min\.(js|mjs|cjs|css)|\.(bundle|chunk)\.js|\.map|_pb2(_grpc)?\.pyi?|\.pb\.(go|cc|h)|\.g\.dart|\.designer\.cs"
    r"|\.snap|\.egg-info/.*|-lock\.(json|ya?ml)|\.lock|\.sum|\.po|\.pot|npm-shrinkwrap\.json)$",
    re.IGNORECASE,
)
_TEST_FOLDERS = frozenset(
    {
        "test",
        "tests",
        "__tests__",
        "__mocks__",
        "spec",
        "specs",
        "e2e",
        "testdata",
        "test-data",
        "test_data",
        "fixtures",
        "fixture",
        "testsuite",
        "t",
        "cypress",
        "playwright",
        "mocks",
    }
)
_EXAMPLE_FOLDERS = frozenset(
    {
        "example",
        "examples",
        "sample",
        "samples",
        "demo",
        "demos",
        "doc",
        "docs",
        "documentation",
        "benchmark",
        "benchmarks",
        "bench",
        "tutorial",
        "tutorials",
        "scripts",
        "tools",
        "ci",
        ".ci",
        ".github",
        "play",
        "playground",
        "cookbook",
        "website",
        "docs_src",
        "docs-src",
        "storybook",
        ".storybook",
        "snippets",
        "starter",
        "seed",
        "seeds",
        "seeders",
    }
)
_TEST_FOLDER = re.compile(
    r"(?<!la)(?<!con)(?<!at)(?<!grea)(?<!fas)tests?$|^(tests?|testing|testutils?|spec)[_-]|[_-](tests?|testing|testdata|mocks?|fixtures?|e2e)$"
)
_EXAMPLE_FOLDER = re.compile(
    r"^(examples?|samples?|demos?|benchmarks?|docs?)[_-]|[_-](examples?|samples?|demos?|benchmarks?|docs|bench)$"
)
_PACKAGES = re.compile(r"((?:^|/)src/\w+/(?:java|kotlin|scala|groovy)/).*/")
"""The folders of packages below a source set; a new project of Spring is in `com/example/demo`."""
_BUILD_NAME = re.compile(
    r"^((grunt|gulp|rake|fab|jake|cake)file(\.\w+)?|setup\.py|tasks\.py|noxfile\.py|conf\.py|(webpack|rollup|vite|karma|protractor"
    r"|babel|postcss|jest|playwright|cypress)\.[\w.]*(js|ts|mjs|cjs)|[\w.-]+\.config\.(js|ts|mjs|cjs)|build\.rs|make\.py)$",
    re.IGNORECASE,
)
"""Scripts that run where a project is built, by those who build it."""
_TEST_NAME = re.compile(r"^(test_.*|conftest|.*_tests?|.*[.-](test|spec)|.*(Test|Tests|Spec))\.[A-Za-z0-9]+$")
_GENERATED_MARK = re.compile(
    r"@generated\b|code generated by .{1,80} do not edit|(this|the) (file|code) (is|was|has been) "
    r"(auto[- ]?generated|automatically generated|generated (by|from|automatically))|auto[- ]?generated (by|from|file)"
    r"|automatically generated by|generated by .{1,60}; ?do not edit",
    re.IGNORECASE,
)
_BANNER = re.compile(
    r"\s*/\*[\s\S]{0,600}?\bv?\d+\.\d+(\.\d+)?[\s\S]{0,600}?(licen[sc]e|copyright|\(c\))", re.IGNORECASE
)
_BANNER_SIZE = 8_000
_DENSE_LINE = 130
_COPY = re.compile(
    r"[-.]\d+\.\d+(\.\d+)?([-.](min|slim|umd|pack))*\.(js|css)$|(^|/)(mvnw|gradlew)(\.(cmd|bat))?$", re.IGNORECASE
)
"""Names that only copies of other projects' files have."""
_LIBRARY = re.compile(
    r"(^|/)(jquery|bootstrap|lodash|codemirror|tinymce|ckeditor|datatables|modernizr|html5shiv|popper|handlebars)[\w.-]*\.(js|css)$"
    r"|(^|/)(d3|underscore|moment|angular|react|vue|ace|three|highlight|prism|chart|select2|raphael|morris)(js)?"
    r"([-.](min|slim|umd|pack|bundle|full|all|core|dom|router|global|prod|dev|production|development|esm|cjs|common|runtime|module|browser))*\.(js|css)$"
    r"|(^|/)(codemirror|ckeditor|tinymce|jquery|bootstrap|fontawesome|summernote|select2|datatables|highlight(js)?|ace-builds|pdfjs|mathjax"
    r"|plupload)[\w.-]*/.*\.(js|css)$"
    r"|(^|/)(assets|static|public|js|lib|libs)/(vendor|vendors|plugins?|lib|libs|third)/.*\.(js|css)$",
    re.IGNORECASE,
)
"""Names that copies of libraries have, and a project's own modules now and then."""
_MODULE = re.compile(r"^(import\b|export\b.*\bfrom\b|((const|let|var)\b.*=\s*)?require\()", re.MULTILINE)
"""The beginning of a module of the project itself; a copy of a library holds all that it needs."""
MARK_LINE = 300
"""Longer lines are not searched for marks."""
MINIFIED_LINE = 500
"""A code file with lines of this mean length was not written by a person."""


def language_of(path: str) -> str | None:
    """The language by name or ending; None if unknown, as for binaries."""
    name = path.rpartition("/")[2].lower()
    if name in _BY_NAME:
        return _BY_NAME[name]
    stem, dot, suffix = name.rpartition(".")
    return _BY_SUFFIX.get(suffix) if dot and stem else None


def may_be_script(path: str) -> bool:
    """Whether the file has no ending, so that only its first line can show the language."""
    name = path.rpartition("/")[2]
    return "." not in name and language_of(path) is None


def script_language(text: str) -> str | None:
    """The language that a shebang line names."""
    first = text.split("\n", 1)[0]
    if not first.startswith("#!"):
        return None
    words = first[2:].split()
    while words and (words[0].rpartition("/")[2] == "env" or words[0].startswith("-")):
        words.pop(0)
    program = words[0].rpartition("/")[2].rstrip("0123456789.") if words else ""
    return _BY_INTERPRETER.get(program)


def not_written_here(path: str) -> str | None:
    """`vendored` or `generated` if the path says so, otherwise None."""
    folders = path.lower().split("/")[:-1]
    if any(folder in _VENDORED for folder in folders):
        return "vendored"
    if any(folder in _GENERATED_FOLDERS or folder.endswith(".egg-info") for folder in folders):
        return "generated"
    if folders and folders[0] in _GENERATED_AT_TOP:
        return "generated"
    return "generated" if _GENERATED_NAME.search(path) else None


def marks_generated(text: str) -> bool:
    """Whether the head of a file says that a program wrote it."""
    head = text[:1500].split("\n")[:12]
    return any(_GENERATED_MARK.search(line) for line in head if len(line) < MARK_LINE)


def is_minified(text: str) -> bool:
    """Whether the lines are so long that no person reads them."""
    return len(text) > 2 * MINIFIED_LINE and len(text) / (text.count("\n") + 1) > MINIFIED_LINE


def is_library(path: str, language: str | None, text: str) -> bool:
    """Whether a file is a copy of another project's library: by its name, or by a banner with version and licence."""
    if _COPY.search(path) or (_LIBRARY.search(path) and not _MODULE.search(text)):
        return True
    if language not in ("JavaScript", "CSS") or len(text) < _BANNER_SIZE:
        return False
    dense = language == "JavaScript" and len(text) / (text.count("\n") + 1) > _DENSE_LINE
    return dense or _BANNER.match(text[:1_400]) is not None


def _is_hidden(folder: str) -> bool:
    """Whether a folder holds settings of tools; keys in `.ssh` are what they look like."""
    return folder.startswith(".") and folder not in (".ssh", ".aws")


def role_of(path: str) -> Role:
    """Test, example or source, by folders and name."""
    *folders, name = _PACKAGES.sub(r"\1", path).split("/")
    lowered = {folder.lower() for folder in folders}
    if lowered & _TEST_FOLDERS or _TEST_NAME.match(name) or any(_TEST_FOLDER.search(folder) for folder in lowered):
        return Role.TEST
    return (
        Role.EXAMPLE
        if lowered & _EXAMPLE_FOLDERS or any(_is_hidden(folder) or _EXAMPLE_FOLDER.search(folder) for folder in lowered)
        else Role.SOURCE
    )
