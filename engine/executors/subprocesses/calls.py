"""Calls a function of an agent in a fork of its warden, in place of a new interpreter. Linux only.

Effects: imports the agent's module in the zygote, forks, replaces what a process is: environment, streams, session.

Starting Python and importing its modules takes a short agent most of its time. So the zygote of the role `calls`
imports the module once, and each attempt is a fork that has it already. Only functions of this program are called in
this way: a module of a project may change, or be another one in the next project.

The fork has the zygote's name in the process table and an empty environment there, so no tag of the attempt: it ends
with its warden, by the kernel's hand. All that it starts has the tag.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import time
from importlib import import_module

from engine.executors import python_child
from engine.executors.subprocesses.descriptors import close_all_but

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Prctl = Callable[[int, int | bytes], bool]

_SET_DEATH_SIGNAL = 1
_DEFAULT = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD)


def prepare(targets: Sequence[str]) -> None:
    """Import the modules of *targets*, `module:function`, for all later forks; what fails now fails in the call."""
    lacking = {module for target in targets if (module := target.partition(":")[0]) not in sys.modules}
    if not lacking:
        return
    gc.disable()
    for module in sorted(lacking):
        # The call imports it again, and its failure is the answer.
        with contextlib.suppress(Exception):
            import_module(module)
    gc.freeze()  # a collection would make forks copy the memory that it touches
    gc.enable()


def forked(target: str, environment: Mapping[bytes, bytes], cwd: bytes, streams: Sequence[int], prctl: Prctl) -> int:
    """Call *target* in a fork of this process; returns its id. Raises OSError if it cannot be forked."""
    warden = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        # Its descendants have the tag of the attempt; it has none itself, and must not outlive its warden.
        prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() == warden:
            _become_agent(environment, cwd, streams)
            code = python_child.main([target])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 -- as an interpreter does at its end
        sys.excepthook(*sys.exc_info())
    finally:
        _flush()
        os._exit(code)


def _become_agent(environment: Mapping[bytes, bytes], cwd: bytes, streams: Sequence[int]) -> None:
    os.setsid()
    signal.set_wakeup_fd(-1)
    for default in _DEFAULT:
        signal.signal(default, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    close_all_but(0, 1, 2)
    os.chdir(cwd)
    os.environb.clear()
    os.environb.update(environment)
    time.tzset()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # closed, or its reader is gone
            continue
