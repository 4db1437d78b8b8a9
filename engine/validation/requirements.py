"""A command's stated requirements are met by this engine.

Pure. Versions are compared with that of the format, not of the package, which a file cannot know.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.model.command import FEATURES, FORMAT_VERSION
from engine.text.suggestions import Names

if TYPE_CHECKING:
    from engine.validation.problem import Report
    from engine.validation.subject import Subject

_FEATURES = Names(FEATURES)


def needs(subject: Subject, report: Report) -> None:
    """NEEDS_NEWER_ENGINE for a newer format, and for a feature that this engine does not have."""
    wanted = subject.definition.metadata.requirements
    if wanted is None:
        return
    place = ("metadata", "requirements")
    if wanted.min_version is not None and _release(wanted.min_version) > _release(FORMAT_VERSION):
        report.add(
            "NEEDS_NEWER_ENGINE",
            f"The command needs version {wanted.min_version} of the format; this engine has {FORMAT_VERSION}",
            subject.shape.pointer(*place, "minVersion"),
            "Update the engine; minVersion is a version of the format, not of a package.",
        )
    for at, feature in enumerate(wanted.features):
        if feature not in FEATURES:
            report.add(
                "NEEDS_NEWER_ENGINE",
                f'The command needs the feature "{feature[:100]}", which this engine does not have',
                subject.shape.pointer(*place, "features", at),
                _FEATURES.question(feature) or f"Known features: {', '.join(FEATURES)}.",
            )


def _release(version: str) -> tuple[int, ...]:
    """The numbers of a version; a pre-release counts as the release itself, whose features it has."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
