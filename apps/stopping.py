"""Stopping: Ctrl-C and other signals end a command with one line, and leave nothing half-written."""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = [signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if name in signal.Signals.__members__]

SAID = "stopped; nothing half-written is left"


def exit_code(received: int) -> int:
    """Return what a shell reports for a process that a signal ended."""
    return 128 + received


def stop_at_once() -> None:
    """Let a signal end the process from now on, while nothing is being written that would have to be put away."""
    for number in _heeded():
        signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    os.write(2, f"steer: {SAID}\n".encode())
    os._exit(exit_code(number))


def leave(code: int) -> int:
    """End the process with an exit code, if threads are left at work; else return the code, for the usual end.

    The usual end makes a thread amidst native code, such as a draft for a page that is still open, abort the process.
    What is to be done at the end of a process is done.
    """
    if not any(thread.daemon for thread in threading.enumerate()):
        return code
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@contextmanager
def unwinding() -> Iterator[list[int]]:
    """Let a signal unwind the work in this block, as Ctrl-C does; yield the signals that came."""
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in _heeded()}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _heeded() -> list[signal.Signals]:
    """Return the signals to heed: none outside of the main thread, and none that whoever started us switched off."""
    if threading.current_thread() is not threading.main_thread():
        return []
    return [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
