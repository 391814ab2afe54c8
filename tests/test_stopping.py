"""Stopping a command by a signal: one line, the shell's exit code, and nothing half-written."""

import os
import signal
import subprocess
import sys
import time

import pytest

HEED = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
"""Undoes what a shell does to a program in the background: it has Ctrl-C ignored."""

STEER = "import sys; from steer.apps.start import main; sys.exit(main())"

STOPPED_AT_AN_IMPORT = """
import os, signal, sys

class Interrupter:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupter())
from steer.apps.start import main
sys.exit(main())
"""


AT_WORK_AT_THE_END = """
import atexit, sys, threading, torch
from steer.apps import command_line

begun = threading.Event()

def work():
    picture, kernel = torch.zeros(1, 8, 64, 64), torch.zeros(8, 8, 3, 3)
    while True:
        torch.nn.functional.conv2d(picture, kernel)
        begun.set()

def run():
    threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
    [thread.start() for thread in threads]
    begun.wait()
    return 3

command_line.main = run
atexit.register(lambda: print("put away"))
from steer.apps.start import main
sys.exit(main())
"""


def test_threads_that_are_still_drawing_do_not_abort_a_command_that_ends():
    done = subprocess.run([sys.executable, "-c", AT_WORK_AT_THE_END], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (3, "put away\n", "")


def test_the_keyboard_stops_a_command_with_one_line_while_it_is_still_importing():
    program = HEED + STOPPED_AT_AN_IMPORT
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "steer: stopped; nothing half-written is left\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_film_leaves_no_file(tmp_path, number, code):
    words = ["walk", "aviary", "--knob", "hue", "--seeds", "0", "--seconds", "600", "--out", str(tmp_path / "f.gif")]
    with subprocess.Popen([sys.executable, "-c", HEED + STEER, *words], stderr=subprocess.PIPE, text=True) as filming:
        while not any(path.stat().st_size for path in tmp_path.iterdir()):  # until frames are written
            assert filming.poll() is None
            time.sleep(0.05)
        filming.send_signal(number)
        try:
            _, errors = filming.communicate(timeout=120)
        finally:
            filming.kill()
    assert (filming.returncode, errors) == (code, "steer: stopped; nothing half-written is left\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("unread", [False, True])
def test_a_studio_that_is_stopped_ends_in_a_line_whether_or_not_anybody_reads_what_it_prints(unread):
    command = [sys.executable, "-c", STEER, "studio", "aviary", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as studio:
        try:
            assert any("share=True" in line for line in iter(studio.stdout.readline, ""))  # the last that it says
            time.sleep(1)
            if unread:
                studio.stdout.close()
            studio.send_signal(signal.SIGTERM)
            errors = studio.stderr.read()
            assert (studio.wait(timeout=120), errors) == (143, "steer: stopped; nothing half-written is left\n")
        finally:
            studio.kill()


def test_what_is_printed_into_a_pipe_that_nobody_reads_ends_quietly():
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", STEER, "list", "generators"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=300)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")
