"""The studio: the page where people turn the knobs."""

import os

from steer.apps.studio.without_stubs import without_stubs

# Gradio reads these when it is imported. It would report to another host, and tabulate all past events at each new one.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", f"{10**9}")
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "100")

with without_stubs():
    from steer.apps.studio.serving import build, launch, stay

__all__ = ["build", "launch", "stay"]
