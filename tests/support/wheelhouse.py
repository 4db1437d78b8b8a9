"""The packages of the tests' own environment as wheels, for installers that must not ask an index.

Effects: reads installed packages and writes one wheel for each into a folder.
"""

from __future__ import annotations

import re
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from registry.packaged.scanners import EXTRA, PACKAGE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUILD = ("hatchling", "editables")
NOT_OF_WHEELS = {"INSTALLER", "REQUESTED", "direct_url.json", "uv_build.json", "uv_cache.json"}
"""What installers add beside a package's metadata."""


def make_wheelhouse(folder: Path) -> Path:
    """Write into *folder*, which is made, a wheel for each package that ours needs to be built and installed."""
    folder.mkdir()
    for name in _needed():
        if name != PACKAGE:
            _write_wheel(distribution(name), folder)
    return folder


def _needed() -> set[str]:
    """The packages that ours and its build backend need here, the extra for reviews included."""
    seen: set[Requirement] = set()
    waiting = [Requirement(f"{PACKAGE}[{EXTRA}]"), *map(Requirement, BUILD)]
    while waiting:
        wanted = waiting.pop()
        if wanted in seen:
            continue
        seen.add(wanted)
        extras = ("", *wanted.extras)
        waiting += [
            needed
            for needed in map(Requirement, distribution(wanted.name).requires or ())
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras)
        ]
    return {canonicalize_name(wanted.name) for wanted in seen}


def _write_wheel(found: Distribution, folder: Path) -> None:
    name, version = re.sub(r"[-_.]+", "_", found.metadata["Name"]), found.version
    tags = [
        line.removeprefix("Tag: ").split("-")
        for line in (found.read_text("WHEEL") or "").splitlines()
        if "Tag:" in line
    ]
    tag = "-".join(".".join(sorted(set(parts))) for parts in zip(*tags, strict=True))
    with zipfile.ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as wheel:
        for path, source in _content(found):
            wheel.write(source, path)


def _content(found: Distribution) -> Iterator[tuple[str, str]]:
    """The place in a wheel, and the file, of what belongs to a package."""
    made = {point.name for point in found.entry_points if point.group.endswith("_scripts")}
    for file in found.files or ():
        path = PurePosixPath(file)
        if path.suffix == ".pyc" or (path.parent.suffix == ".dist-info" and path.name in NOT_OF_WHEELS):
            continue
        if path.parts[0] != "..":
            yield str(path), str(file.locate())
        elif path.name not in made:  # a program that is no entry point
            info = next(part.parts[0] for part in found.files or () if part.parts[0].endswith(".dist-info"))
            yield f"{info.removesuffix('.dist-info')}.data/scripts/{path.name}", str(file.locate())
