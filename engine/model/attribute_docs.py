"""Descriptions of fields: the docstrings behind them, read from the source when a schema is made.

Pure, but that the source of a module is read once. Hardly any process makes a schema, and reading all these texts when
a model is defined takes longer than all else in that.
"""

from __future__ import annotations

import ast
import inspect
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import GetJsonSchemaHandler
    from pydantic_core import CoreSchema


class Documented:
    """A model whose fields have docstrings: each is the field's description in the JSON Schema. First of the bases."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """See pydantic."""
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for name, text in descriptions(cls).items():
            field = cls.model_fields[name]  # type: ignore[attr-defined]  # of the model
            if (shape := properties.get(field.alias or name)) is not None:
                shape.setdefault("description", text)
        return schema


def descriptions(model: type) -> dict[str, str]:
    """The docstrings of the fields of *model*, by the name of the field."""
    return {
        name: text
        for kind in reversed(model.__mro__)
        if issubclass(kind, Documented)
        for name, text in _of_module(kind.__module__).get(kind.__name__, {}).items()
    }


@cache
def _of_module(name: str) -> Mapping[str, Mapping[str, str]]:
    """The same for each class of a module."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[name]))
    except OSError:  # the program was installed without its source
        return {}
    return {part.name: dict(_of_class(part)) for part in tree.body if isinstance(part, ast.ClassDef)}


def _of_class(tree: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, text in zip(tree.body, tree.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
            and isinstance(text.value.value, str)
        ):
            yield field.target.id, inspect.cleandoc(text.value.value)
