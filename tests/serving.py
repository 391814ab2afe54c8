"""The studio as a process of its own, as people run it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import Any

from steer.progress import Progress


@contextmanager
def served(generator: str, gate: Path | None = None) -> Iterator[str]:
    """Serve the studio on a free port and yield its address, read from what it prints.

    Args:
        generator: what pages begin with.
        gate: while there is such a file, jobs are held at their first sign of life.
    """
    hold = f"from serving import hold_jobs; hold_jobs({str(gate)!r}); " if gate else ""
    program = f"{hold}from steer.apps.studio import launch; launch({generator!r}, open_browser=False)"
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    command, environment = [sys.executable, "-c", program], {**os.environ, "PYTHONPATH": path}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        said = iter(server.stdout.readline, "")
        found = (re.search(r"^\* Running on local URL: +(http://127\.0\.0\.1:\d+)$", line) for line in said)
        try:
            yield next(match[1] for match in found if match)
        finally:  # else what failed while it served would wait for it to end by itself
            server.terminate()


def hold_jobs(gate: str) -> None:
    """Let the jobs of this process wait at their first sign of life while there is a file of this name."""
    from steer.apps.studio.waiting import Waiting

    show = Waiting.show

    def show_held(self: Waiting, desk: Any, work: Any, *also: Any) -> Any:
        return show(self, desk, lambda progress: work(_held(progress, Path(gate))), *also)

    Waiting.show = show_held  # type: ignore[method-assign]


def _held(progress: Progress, gate: Path) -> Progress:
    def count(done: int, total: int) -> None:
        progress(done, total)
        while gate.exists() and done > 0:
            sleep(0.02)
            progress(done, total)

    return count
