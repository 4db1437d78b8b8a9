"""Converts the metadata of a command to v2: author, version, tags, lifecycle.

Pure.
"""

from __future__ import annotations

import re

from engine.model.command import Metadata
from engine.validation.fields import fields_of
from registry.dialects.notes import Fields

_VISIBILITIES = frozenset({"public", "private", "team", "beta"})
_SEMVER = re.compile(r"\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?")


def carry_metadata(fields: Fields) -> None:
    """Convert the metadata; older files keep some of it beside the phases."""
    left, notes = fields.left, fields.notes
    metadata = dict(left["metadata"]) if isinstance(left.get("metadata"), dict) else left.get("metadata", {})
    if not isinstance(metadata, dict):
        return
    for name in ("author", "tags", "category", "visibility", "deprecated", "replacedBy", "changelog", "examples"):
        if name in left:
            notes.value(f"/{name}", f'{name} is part of "metadata" in v2', "Move it there.")
            metadata.setdefault(name, left.pop(name))
    inner = Fields(metadata, "/metadata", notes)
    _metadata_values(inner)
    carried = inner.keep(fields_of(Metadata))
    if carried or "metadata" in left:
        left["metadata"] = carried


def _metadata_values(inner: Fields) -> None:
    """Forms of metadata that v2 does not read."""
    left, notes = inner.left, inner.notes
    inner.rename("author", habits=("authors", "maintainer"))
    author = left.get("author")
    if isinstance(author, dict | list):
        left["x-author"] = author
        names = author if isinstance(author, list) else [author.get("name", "")]
        left["author"] = ", ".join(str(name) for name in names)
        notes.value(inner.at("author"), "author is a text in v2", f'Write "{left["author"]}".')
    version = left.get("version")
    if version is not None and not (isinstance(version, str) and _SEMVER.fullmatch(version)):
        parts = re.findall(r"\d{1,9}", str(version))[:3]
        left["version"] = ".".join([*parts, "0", "0", "0"][:3])
        notes.value(
            inner.at("version"), f"version has three numbers in v2, not {version!r}", f'Write "{left["version"]}".'
        )
    if isinstance(left.get("tags"), str):
        left["tags"] = [tag.strip() for tag in left["tags"].split(",") if tag.strip()]
        notes.value(inner.at("tags"), "tags are a list in v2", f"Write {left['tags']}.")
    visibility = left.get("visibility")
    if visibility is not None and visibility not in _VISIBILITIES:
        left["x-visibility"] = left.pop("visibility")
        notes.kept(inner.at("visibility"), "visibility", "x-visibility")
    _change_notes(inner)
    examples = left.get("examples")
    if isinstance(examples, list) and any(isinstance(one, str) for one in examples):
        left["examples"] = [{"command": one} if isinstance(one, str) else one for one in examples]
        notes.value(inner.at("examples"), "examples are objects in v2", 'Write {"command": …}.')
    requirements = left.get("requirements")
    if requirements is not None and not isinstance(requirements, dict):
        left["x-requirements"] = left.pop("requirements")
        notes.kept(inner.at("requirements"), "requirements", "x-requirements")


def _change_notes(inner: Fields) -> None:
    """A changelog of objects becomes one of texts."""
    value = inner.left.get("changelog")
    if isinstance(value, str):
        value = [value]
    if isinstance(value, dict):
        value = [{"version": version, "changes": changes} for version, changes in value.items()]
    if not isinstance(value, list) or all(isinstance(one, str) for one in value):
        if isinstance(value, list):
            inner.left["changelog"] = value
        return
    inner.left["changelog"] = [one if isinstance(one, str) else _change(one) for one in value]
    inner.notes.value(inner.at("changelog"), "changelog is a list of texts in v2", 'Write "1.1.0: what changed".')


def _change(entry: object) -> str:
    if not isinstance(entry, dict):
        return str(entry)
    changes = entry.get("changes", entry.get("description", ""))
    text = "; ".join(map(str, changes)) if isinstance(changes, list) else str(changes)
    when = f" ({entry['date']})" if "date" in entry else ""
    return f"{entry.get('version', '')}{when}: {text}".strip(": ")
