"""What all tests share: no other host is reached, no window opens, commands run in place, one browser, one studio."""

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
if "PYTEST_XDIST_WORKER" in os.environ:  # tests run beside each other: a core each
    os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent
LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs an accelerator where there is none."""
    needing = [item for item in items if item.get_closest_marker("gpu")]
    if not needing:
        return
    import torch

    if not torch.accelerator.is_available():
        for item in needing:
            item.add_marker(pytest.mark.skip(reason="there is no accelerator here"))


@pytest.fixture(autouse=True, scope="session")
def _offline() -> Iterator[None]:
    """Refuse every connection that leaves this machine."""
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and not str(address[0]).startswith(LOOPBACK):
            raise AssertionError(f"a test tried to reach {address[0]}; the toolkit works offline")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect_here)
        yield


@pytest.fixture(autouse=True, scope="session")
def _a_core_each() -> Iterator[None]:
    """Keep trainings from taking more than the one core that a process has, and from keeping it for all later tests."""
    with pytest.MonkeyPatch.context() as patch:
        if os.environ.get("OMP_NUM_THREADS") == "1":
            import torch

            patch.setattr(torch, "set_num_threads", lambda count: None)
        yield


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the project's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Return a headless Chromium, as a Playwright ``Browser``."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next((path for name in names if (path := shutil.which(name))), None)
    if executable is None:
        pytest.fail("the browser tests need Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def window(browser: Any) -> Iterator[Any]:
    """Return a browser's window; each test opens a page of its own in it, and pages know nothing of each other."""
    context = browser.new_context(accept_downloads=True)
    yield context
    context.close()


@pytest.fixture(scope="session")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file that holds the jobs of ``studio`` while it is there."""
    return tmp_path_factory.mktemp("gate") / "held"


@pytest.fixture(scope="session")
def studio(gate: Path) -> Iterator[str]:
    """Return the address of a studio that begins with the renderer."""
    from serving import served

    with served("aviary", gate) as address:
        yield address


@pytest.fixture
def run(capsys):
    """Return a function that runs a command, and returns its exit code, output and errors."""

    def run_command(*words):
        from steer.apps.command_line import main

        capsys.readouterr()
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    return run_command


@pytest.fixture
def made(run):
    """Return a function that runs a command that must succeed, and returns its output."""

    def run_command(*words):
        code, out, errors = run(*words)
        assert (code, errors) == (0, "")
        return out

    return run_command
