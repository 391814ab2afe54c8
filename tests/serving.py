"""The studio as a process of its own, as people run it."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def served(generator: str) -> Iterator[str]:
    """Serve the studio on a free port and yield its address, read from what it prints."""
    program = f"from steer.apps.studio import launch; launch({generator!r}, open_browser=False)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        said = iter(server.stdout.readline, "")
        found = (re.search(r"^\* Running on local URL: +(http://127\.0\.0\.1:\d+)$", line) for line in said)
        yield next(match[1] for match in found if match)
        server.terminate()
