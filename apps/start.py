"""The way into the command `steer`: it can be stopped from its first import on."""

from steer.apps.stopping import leave, stop_at_once


def main() -> int:
    """Run the command line and return its exit code."""
    stop_at_once()
    from steer.apps.command_line import main as run

    return leave(run())
