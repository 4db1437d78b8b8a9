"""The environment of one attempt: which of our variables an agent gets, and which must not appear in its output.

Effects: reads this process's environment and, after a failure, the text of the failed program.

Claude Code gets the variables it has in a terminal. Programs and functions get a short list of variables, those that
the user's own settings pass to all agents, and those that their file asks for. Values passed as secrets are masked in
the agent's output. This keeps secrets out of the journal; it is not a sandbox, as a program can read the user's files.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec import structs

from engine.executors.answer import failed
from engine.executors.port import Heartbeat, Outcome, WorkOrder
from engine.executors.subprocesses.process_tags import environment_of
from engine.model.log import LogLine
from engine.model.policy import Failure, FailureKind
from engine.statefolder.executables import rooted
from engine.text.cut import some
from engine.text.redaction import Mask, names_a_secret
from engine.text.variables import needed, references, resolve

_GIVEN = re.compile(
    r"""
    HOME | PATH | LANG | LANGUAGE | LC_\w+ | TMPDIR | TZ | USER | LOGNAME | XDG_\w+
    | (?:HTTP|HTTPS|ALL|NO|FTP)_PROXY | (?:http|https|all|no|ftp)_proxy
    | SSL_CERT_(?:FILE|DIR) | NIX_SSL_CERT_FILE | (?:REQUESTS|CURL|AWS)_CA_BUNDLE | NODE_EXTRA_CA_CERTS
    | CARGO_HTTP_CAINFO | DENO_CERT | GIT_SSL_CA(?:INFO|PATH) | PIP_CERT
    """,
    re.VERBOSE,
)
"""The variables of our environment that programs and functions get."""
_OUR_TOKEN = re.compile(r"ORCHESTRAT(?:E|ION)_(?:\w+_)?(?:TOKEN|KEY|SECRET|PASSWORD)")
_OF_THE_SHELL = frozenset({"OLDPWD", "PWD", "SHLVL"})
"""Variables that a shell keeps for itself: no program fails without them."""
_SHORTEST_VALUE = 8
"""A shorter value is masked only if its name says that it is a secret: "prod" occurs in too many texts."""
_SHORTEST_SECRET = 4
_SYMPTOMS = (
    ("No module named", "PYTHONPATH"),
    ("Cannot find module", "NODE_PATH"),
    ("error while loading shared libraries", "LD_LIBRARY_PATH"),
    ("Library not loaded", "DYLD_LIBRARY_PATH"),
    ("Permission denied (publickey", "SSH_AUTH_SOCK"),
)
"""Failures that do not name the missing variable."""
_MAX_NAMED = 5
_MAX_SOURCE_BYTES = 512 * 1024
_MAX_SOURCES = 100


@dataclass(slots=True)
class _Masked:
    """A heartbeat that masks secrets before it passes text on."""

    heartbeat: Heartbeat
    mask: Mask
    held: str = ""
    """The end of the last text, which may be the beginning of a secret."""

    def __call__(self, action: str | None = None, said: str = "", log: Sequence[LogLine] | None = None) -> None:
        """See `Heartbeat.__call__`."""
        hide = self.mask.hide
        text = hide(self.held + said)
        cut = self.mask.open_end(text)
        text, self.held = text[:cut], text[cut:]
        lines = None if log is None else [LogLine(line.kind, hide(line.text), hide(line.by)) for line in log]
        self.heartbeat(action if action is None else hide(action), text, lines)

    def started(self, worker: str, ago: timedelta = timedelta()) -> None:
        """See `Heartbeat.started`."""
        self.heartbeat.started(worker, ago)


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """The variables of an attempt's process, and the secrets to mask in its output."""

    variables: Mapping[str, str]
    withheld: frozenset[str]
    """Names of our variables that the process does not get."""
    mask: Mask

    def heartbeat(self, heartbeat: Heartbeat) -> Heartbeat:
        """*heartbeat*, with secrets masked, even one that arrives in two pieces."""
        return _Masked(heartbeat, self.mask) if self.mask else heartbeat

    def told(self, outcome: Outcome, order: WorkOrder, sources: Iterable[Path] = ()) -> Outcome:
        """*outcome* of the process, without secrets; a failure names the withheld variables that may have caused it.

        These are the ones that the failure itself or the program's text mentions. *sources* are the program's files;
        files of the same kind beside them are searched as well, if they belong to the agent.
        """
        outputs = self.mask.hide_in(outcome.outputs)
        failure = None if outcome.failure is None else self._explained(self._masked(outcome.failure), order, sources)
        if failure is outcome.failure and outputs is outcome.outputs:
            return outcome
        return structs.replace(outcome, outputs=outputs, failure=failure)

    def _masked(self, failure: Failure) -> Failure:
        if not self.mask:
            return failure
        hide = self.mask.hide_cut
        hint, partial = (None if text is None else hide(text) for text in (failure.hint, failure.partial))
        return replace(failure, message=hide(failure.message), hint=hint, partial=partial)

    def _explained(self, failure: Failure, order: WorkOrder, sources: Iterable[Path]) -> Failure:
        if not self.withheld:
            return failure
        said = "\n".join(filter(None, (failure.message, failure.partial)))
        missed = self.withheld & _words(said)
        missed |= {name for symptom, name in _SYMPTOMS if symptom in said and name in self.withheld}
        inside = [path for path in sources if path.is_relative_to(order.folder)]
        missed = missed or self.withheld & _words_of_program(order.agent.command, inside)
        if not missed:
            return failure
        hint = _withheld_hint(sorted(missed), order)
        return replace(failure, hint=f"{failure.hint} {hint}" if failure.hint else hint)


def open_environment(
    order: WorkOrder, tag: str, added: Mapping[str, str], *, whole: bool = False
) -> Environment | Outcome:
    """The environment for *order*, or a failure that names the variable of its file which is not set.

    *whole*: all our variables except our own tokens and relative folders of PATH; otherwise the short list of programs
    and functions. *added* are the variables that the user's own settings set for every agent; the agent's file
    overrides them. In both, `$NAME` stands for our variable of this name: it is looked up here, where the agent runs,
    and not stored anywhere.
    """
    ours = tuple([(name, os.environb.get(name, b"")) for name in os.environb])
    found = _prepared(ours, tuple(added.items()), tuple(order.agent.env.items()), order.hidden, whole=whole)
    if isinstance(found, Outcome):
        return found
    handed = found.handed
    if order.traceparent:  # with it goes the state that belongs to the header which it replaces
        others = {name: value for name, value in handed.items() if name != "TRACESTATE"}
        handed = {**others, "TRACEPARENT": order.traceparent}
    variables = environment_of(order.attempt, tag, found.own, ours=handed)
    return Environment(variables=variables, withheld=found.withheld, mask=found.mask)


class _Prepared(msgspec.Struct, frozen=True):
    """The part that the environments of all attempts of an agent share."""

    own: Mapping[str, str]
    """The variables of its file and of the user's settings."""
    handed: Mapping[str, str]
    """Those of ours."""
    withheld: frozenset[str]
    mask: Mask


_Pairs: TypeAlias = "tuple[tuple[str, str], ...]"


@functools.lru_cache(maxsize=16)  # a run makes many attempts with the same variables
def _prepared(
    variables: tuple[tuple[bytes, bytes], ...], added: _Pairs, env: _Pairs, hidden: frozenset[str], *, whole: bool
) -> _Prepared | Outcome:
    """See `open_environment`; *variables* are all of ours, *env* are those of the agent's file."""
    values = {os.fsdecode(name): value for name, value in variables}
    names = {name for name in values if not _is_our_token(name)}
    given = {name for name in names if _is_given(name)}
    passed = names if whole else given
    in_file = dict(env)
    asked = {**dict(added), **in_file}
    read = passed.union(*map(references, asked.values())) & names  # only the values that are needed
    ours = {name: os.fsdecode(values[name]) for name in read}
    secrets: dict[str, str] = {}
    own: dict[str, str] = {}
    for name, text in asked.items():
        missing = [found for found in needed(text) if found not in ours]
        if missing:
            return _not_set(missing[0], name, in_file=name in in_file)
        own[name] = resolve(text, ours)
        if own[name] != text or names_a_secret(name):
            secrets |= {name: own[name]} | {part: ours[part] for part in references(text) if part in ours}
    secrets |= {name: ours[name] for name in passed if names_a_secret(name)}
    plain = {ours[name] for name in given}
    handed = {name: ours[name] for name in passed - hidden}
    if whole and "PATH" in handed:  # Claude Code starts programs such as git by their bare name in the project
        handed["PATH"] = rooted(handed["PATH"])
    return _Prepared(
        own=own,
        handed=handed,
        withheld=frozenset(names - passed - own.keys() - hidden - _OF_THE_SHELL),
        mask=Mask(value for name, value in secrets.items() if value not in plain and _is_secret(name, value)),
    )


def given_variables() -> dict[str, str]:
    """The variables of ours that any program gets."""
    return {name: value for name, value in os.environ.items() if _is_given(name)}


def own_variables() -> dict[str, str]:
    """All our variables but our own tokens, for a program that the user's own settings name."""
    own = {name: value for name, value in os.environ.items() if not _is_our_token(name)}
    return {**own, "PATH": rooted(own["PATH"])} if "PATH" in own else own


@functools.lru_cache(maxsize=1024)  # the same names for each attempt
def _is_given(name: str) -> bool:
    return _GIVEN.fullmatch(name) is not None


@functools.lru_cache(maxsize=1024)
def _is_our_token(name: str) -> bool:
    return _OUR_TOKEN.fullmatch(name) is not None


def _is_secret(name: str, value: str) -> bool:
    """Whether *value* needs masking: a path does not, even if its name says key."""
    least = _SHORTEST_SECRET if names_a_secret(name) else _SHORTEST_VALUE
    return len(value) >= least and not value.startswith("/")


def _not_set(name: str, wanted_by: str, *, in_file: bool) -> Outcome:
    where = "`env` of the agent's file" if in_file else "`[agents] env` of your settings"
    return failed(
        FailureKind.VALIDATION,
        "VARIABLE_NOT_SET",
        f"{where} sets {wanted_by} from the variable {name}, which is not set where the agent runs",
        hint=f"Set {name} before you start the program that runs the agents, or write ${{{name}:-default}}.",
        begun=False,
    )


def _words(text: str) -> set[str]:
    """Possible names of variables in *text*; one or two letters are not enough evidence."""
    return set(re.findall(r"(?<!\w)[A-Za-z_]\w{2,}", text, re.ASCII))


def _words_of_program(command: Iterable[str], sources: Iterable[Path]) -> set[str]:
    """The words of a program's arguments and of its files, with those of the same ending beside each of them."""
    words = _words(" ".join(command))
    for source in sources:
        for path in {source, *_beside(source)}:
            words |= _words(_text_of(path))
    return words


def _beside(source: Path) -> list[Path]:
    """Files with the ending of *source* in its folder; none for an argument that is code."""
    try:
        return sorted(source.parent.glob(f"*{source.suffix}"))[:_MAX_SOURCES] if source.suffix else []
    except (OSError, ValueError):
        return []


def _text_of(path: Path) -> str:
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return file.read(_MAX_SOURCE_BYTES).decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""


def _withheld_hint(names: list[str], order: WorkOrder) -> str:
    one = names[0]
    file = f"the file of the agent {order.agent.id}"
    return (
        f"Withheld from this agent: {some(names, _MAX_NAMED)}. Programs and functions get only some of your variables; "
        f'to hand one on, write {one}: "${one}" below `env:` in {file}, or put it into `[agents] env` of your own '
        "settings."
    )
