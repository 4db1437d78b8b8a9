"""Python's cycle collector, paused while a program is imported, and patient afterwards.

Effects: changes the collector of this process, so only a program of ours calls it. Imports make hundreds of thousands
of objects that stay; with Python's default, looking through them is a sixth of the time of an import.
"""

from __future__ import annotations

import gc


def pause() -> None:
    """Collect nothing until `go_on`."""
    gc.disable()


def go_on() -> None:
    """Collect again, but seldom, and never look at what there is by now."""
    from engine.runtime.garbage_collector import YOUNG  # noqa: PLC0415 - imported by now

    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
    gc.enable()
