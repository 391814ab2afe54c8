"""The studio runs inside a notebook: in a process whose event loop is already running."""

import asyncio
import json
from urllib.request import urlopen

from steer.apps.studio import launch


def test_the_studio_is_served_from_within_a_running_event_loop_and_leaves_the_loop_free() -> None:
    async def cell() -> tuple[str, int]:
        """Launch the studio as a notebook's cell does, and go on while it serves."""
        demo = launch("aviary", open_browser=False, block=False)
        try:
            page = asyncio.to_thread(lambda: urlopen(f"{demo.local_url}config", timeout=60).read())
            turns = 0
            waiting = asyncio.ensure_future(page)
            while not waiting.done():
                await asyncio.sleep(0.01)
                turns += 1
            return json.loads(await waiting)["title"], turns
        finally:
            demo.close()

    title, turns = asyncio.run(cell())
    assert title == "latent-steer studio"
    assert turns > 0
