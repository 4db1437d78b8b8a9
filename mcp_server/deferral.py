"""pydantic's models and adapters, built when they are first used instead of when their module is imported.

Effects: changes pydantic while `deferred` lasts, so only a program of ours calls it. Building all types of the
protocol takes a fifth of the import of the SDK, and a server uses few of them: those of one version, for one role.
"""

from __future__ import annotations

import contextlib

from pydantic import BaseModel, ConfigDict, TypeAdapter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Models and adapters that are defined in this block are built later; so are models that inherit from these."""
    config, decides = BaseModel.model_config, TypeAdapter._defer_build  # noqa: SLF001 - an adapter of a union has no config
    BaseModel.model_config = ConfigDict(defer_build=True)
    TypeAdapter._defer_build = property(lambda _: True)  # type: ignore[assignment, method-assign]  # noqa: SLF001
    try:
        yield
    finally:
        BaseModel.model_config = config
        TypeAdapter._defer_build = decides  # type: ignore[method-assign]  # noqa: SLF001
