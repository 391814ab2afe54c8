"""The command `steer`: verbs, exit codes, and every mistake in one line."""

import errno
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any, cast

import typer

from steer.apps.asides import asides
from steer.apps.commands.dial import dial
from steer.apps.commands.doctor import doctor
from steer.apps.commands.film import film
from steer.apps.commands.find import find
from steer.apps.commands.importing import import_
from steer.apps.commands.invert import invert
from steer.apps.commands.list import knobs, list_
from steer.apps.commands.match import match
from steer.apps.commands.measure import measure
from steer.apps.commands.render import render
from steer.apps.commands.sample import sample
from steer.apps.commands.strip import strip
from steer.apps.commands.studio import studio
from steer.apps.commands.train import train
from steer.apps.commands.tune import tune
from steer.apps.commands.walk import walk
from steer.apps.commands.writing import say_aside
from steer.apps.stopping import SAID, exit_code, unwinding
from steer.errors import SteerError

DONE, DEFECT, MISTAKE = 0, 1, 2
STOPPED, CUT_OFF = 128 + 2, 128 + 13
"""Exit codes; the last two are what a shell reports for Ctrl-C, and for a reader of our output that went away."""

LONGEST_LINE = 800

UsageError = cast(type[Exception], typer.BadParameter.__mro__[1])
"""Every mistake that typer itself finds; the module it stands in differs between versions of typer."""

UNUSABLE = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP}
)
"""What is wrong with a place that is full, forbidden or cannot be named so."""

app = typer.Typer(
    name="steer",
    epilog="Begin with: steer studio",
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
app.command(name="list")(list_)
app.command(name="import")(import_)
for verb in (sample, invert, find, tune, knobs, strip, dial, match, render, walk, film):
    app.command()(verb)
app.add_typer(measure, name="measure")
app.add_typer(train, name="train")
app.command()(doctor)
app.command()(studio)


def _say_version(wanted: bool) -> bool:
    if wanted:
        from steer import __version__

        sys.stdout.write(f"steer {__version__}\n")
        raise typer.Exit
    return wanted


@app.callback()
def top(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_say_version, is_eager=True)
    ] = False,
) -> None:
    """Find the knobs in an image generator, measure what each really does, and turn them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: what stands behind ``steer``; by default the process's own.

    Returns:
        0 done; 2 the user's mistake or a missing part, said in one line on stderr; 1 a defect; 130 stopped by Ctrl-C;
        143 stopped by SIGTERM.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    with unwinding() as received:
        code = _run(given or ["--help"])
    return _complain(SAID, exit_code(received[0]) if received else STOPPED) if code == STOPPED else code


def _run(arguments: list[str]) -> int:
    """Run a verb, and say in one line what went wrong; what was stopped comes back as STOPPED."""
    try:
        with asides(say_aside):
            return app(args=arguments, prog_name="steer", standalone_mode=False) or DONE
    except (KeyboardInterrupt, typer.Abort):
        return STOPPED
    except UsageError as error:
        return _complain(_usage_message(error), MISTAKE)
    except SteerError as error:
        return _complain(str(error), MISTAKE)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "steer":
            return _defect()
        return _complain(f"the package '{error.name}' is not installed; pip install '{error.name}'", MISTAKE)
    except SystemExit:  # so typer ends what nobody reads any longer
        return CUT_OFF
    except OSError as error:
        if error.errno not in UNUSABLE:
            return _defect()
        where = f"'{error.filename}': " if error.filename else ""
        return _complain(f"{where}{error.strerror}; make room, or choose another place or name", MISTAKE)
    except Exception:
        return _defect()


def _complain(message: str, code: int) -> int:
    line = " ".join(message.split())
    if len(line) > LONGEST_LINE:  # what is wrong stands in front, what to do at the end
        line = f"{line[: LONGEST_LINE // 2]} … {line[-LONGEST_LINE // 2 :]}"
    sys.stderr.write(f"steer: {line}\n")
    return code


def _usage_message(error: Any) -> str:
    context = error.ctx
    return f"{error.format_message().strip().rstrip('.?')}; see: {context.command_path if context else 'steer'} --help"


def _defect() -> int:
    traceback.print_exc()
    return _complain("this is a defect, of the toolkit or of a plugin; please report it with the lines above", DEFECT)
