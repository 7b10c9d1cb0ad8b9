"""The command line: `euhedral --help`."""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated

import typer

import euhedral
from euhedral.cli import (
    adsorption,
    benchmark,
    campaign,
    catalogue,
    generation,
    prediction,
    pretraining,
    relaxation,
    representation,
    train,
)
from euhedral.errors import EuhedralError

# what the parser raises on a wrong option; typer has brought its own copy of click since 0.20, so it is named by its place
_UsageError = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")

_STOPPED = 130

app = typer.Typer(
    name="euhedral",
    help="Predict, generate, characterize and simulate crystals.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    campaign,
    prediction,
    relaxation,
    adsorption,
    generation,
    representation,
    pretraining,
    train,
    benchmark,
    catalogue,
):
    module.register(app)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"euhedral {euhedral.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Predict, generate, characterize and simulate crystals."""


def main() -> None:
    """Run the command line; any error that a user can cause is one line, and the exit code says what happened.

    0: all done. 1: some inputs failed, the others were processed. 2: nothing could be done. 130: stopped by Ctrl-C,
    what was finished is kept.
    """
    logging.getLogger("euhedral").addHandler(_Notes(logging.WARNING))
    try:
        code = app(standalone_mode=False)
    except _UsageError as error:
        sys.stderr.write(f"error: {' '.join(error.format_message().split())}; see: euhedral {_command()} --help\n")
        sys.exit(2)
    except EuhedralError as error:
        if os.environ.get("EUHEDRAL_TRACEBACK"):
            raise
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        code = _STOPPED
    except BrokenPipeError:
        # the reader of a pipe (head, less) went away: nothing is wrong
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    if code == _STOPPED:  # which is also what the parser makes of Ctrl-C
        sys.stderr.write("stopped; what was finished is kept\n")
    sys.exit(code if isinstance(code, int) else 0)


class _Notes(logging.Handler):
    """Shows what the package warns of, each as one line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line to the error stream."""
        sys.stderr.write(f"note: {record.getMessage()}\n")


def _command() -> str:
    named = [word for word in sys.argv[1:] if not word.startswith("-")]
    return named[0] if named and named[0] in {command.callback.__name__ for command in app.registered_commands} else ""
