"""JSON Merge Patch (RFC 7396): what has changed from one object to another.

Pure. An object with a null in it cannot be the target of a merge patch: there null stands for a key that is gone.
"""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]


def patch_between(old: Object, new: Object) -> Object:
    """The smallest patch that makes *new* of *old*; empty if they are equal. Neither holds a null."""
    patch: Object = {key: None for key in old if key not in new}
    for key, value in new.items():
        if key not in old:
            patch[key] = value
            continue
        before = old[key]
        if before is value or before == value:
            continue
        both = isinstance(before, dict) and isinstance(value, dict)
        patch[key] = patch_between(before, value) if both else value
    return patch
