"""Settings in a project's file that name a program, host or address: none has any effect before the user's yes.

Pure. A field of a settings model joins by an annotation: `url: Annotated[str | None, GUARDED] = None`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import BaseModel

from engine.errors import InputError
from engine.text.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator


class Guarded:
    """Marks a field whose value in a project's file waits for the user's yes."""


GUARDED = Guarded()
_USERINFO = re.compile(r"//[^/\s@]*@|^[^/\s@]+:[^/\s@]+@")
"""The part of a URL before the host: a user name, perhaps with a password."""


def guarded_values(
    model: type[BaseModel], values: Mapping[str, Any], *, variables: Collection[str], prefix: str
) -> dict[str, dict[str, Any]]:
    """The guarded values of a parsed file: by top-level name, then by dotted key.

    Values that the user's environment overrides are left out: *variables* are the names of its variables in capitals;
    those of settings begin with *prefix* and join the parts of a key by two underscores.
    """
    found: dict[str, dict[str, Any]] = {}
    for path, value in _walk(model, values):
        if prefix + "__".join(path).upper() not in variables:
            found.setdefault(path[0], {})[".".join(path)] = value
    return found


def reset(settings: BaseModel, keys: Iterable[str]) -> None:
    """Give the fields of *settings* that *keys* name, dotted, their default values again."""
    for key in keys:
        *path, name = key.split(".")
        table: Any = settings
        for part in path:
            table = table[part] if isinstance(table, Mapping) else getattr(table, part)
        setattr(table, name, type(table).model_fields[name].get_default(call_default_factory=True))


def check_no_secret(value: object, place: str, *, code: str) -> None:
    """Raise `InputError` if *value*, of a project's file, contains a password; *place* names the key."""
    for text in [value] if isinstance(value, str) else value if isinstance(value, list) else []:
        if isinstance(text, str) and (_USERINFO.search(text) or redact(text) != text):
            raise InputError(
                f"{place} contains a password or key",
                code=code,
                hint="Remove it from the file and replace the password: everyone who has the project can read it.",
            )


def _walk(model: type[BaseModel], values: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Path and value of each marked field that *values* holds, at any depth."""
    for name, field in model.model_fields.items():
        value = values.get(name)
        if value is None:
            continue
        if any(isinstance(mark, Guarded) for mark in field.metadata):
            yield (name,), value
            continue
        for path, part, table in _tables(field.annotation, (name,), value):
            for inner, found in _walk(part, table):
                yield (*path, *inner), found


def _tables(
    annotation: Any,  # noqa: ANN401 - any annotation
    path: tuple[str, ...],
    value: object,
) -> Iterator[tuple[tuple[str, ...], type[BaseModel], Mapping[str, Any]]]:
    """The tables in *value* with the model of each, for `Model`, `Model | None` and `dict[str, Model]`."""
    if not isinstance(value, Mapping):
        return
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield path, annotation, value
        return
    by_name = get_origin(annotation) is dict
    for part in get_args(annotation):
        for key, inner in value.items() if by_name else [(None, value)]:
            yield from _tables(part, path if key is None else (*path, str(key)), inner)
