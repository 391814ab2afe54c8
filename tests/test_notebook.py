"""The studio runs inside a notebook: in a process whose event loop is already running."""

import json
import subprocess
import sys

CELL = """
import asyncio, json
from urllib.request import urlopen
from steer.apps.studio import launch

async def cell():
    demo = launch("aviary", open_browser=False, block=False)
    page = asyncio.ensure_future(asyncio.to_thread(lambda: urlopen(f"{demo.local_url}config", timeout=60).read()))
    turns = 0
    while not page.done():
        await asyncio.sleep(0.01)
        turns += 1
    title = json.loads(await page)["title"]
    demo.close()
    print(json.dumps({"title": title, "turns": turns}))

asyncio.run(cell())
"""


def test_the_studio_is_served_from_within_a_running_event_loop_and_leaves_the_loop_free() -> None:
    # A process of its own: Gradio leaves the sockets of a server that was closed to the end of its process.
    done = subprocess.run([sys.executable, "-c", CELL], capture_output=True, text=True, timeout=120, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["title"] == "latent-steer studio"
    assert told["turns"] > 0
