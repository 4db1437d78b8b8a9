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

_DECIDES = "_defer_build"


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Models and adapters that are defined in this block are built later; so are models that inherit from these.

    An adapter of a union has no configuration, so pydantic's own decision is overridden; where a version of pydantic
    decides otherwise, adapters are built at once.
    """
    config, decides = BaseModel.model_config, vars(TypeAdapter).get(_DECIDES)
    BaseModel.model_config = ConfigDict(defer_build=True)
    if decides is not None:
        setattr(TypeAdapter, _DECIDES, property(lambda _: True))
    try:
        yield
    finally:
        BaseModel.model_config = config
        if decides is not None:
            setattr(TypeAdapter, _DECIDES, decides)
