"""What is said while loops are compiled: the first use of a machine takes most of a minute, and silence would look like a fault."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def told_of_compiling() -> Iterator[None]:
    """Write one line to the error stream when something is compiled that no earlier run has left compiled."""
    from numba.core import event

    class Listener(event.Listener):
        said = False

        def on_start(self, event: object) -> None:  # noqa: ARG002
            if not self.said:
                self.said = True
                sys.stderr.write("compiling fast loops for this machine; this is done once and takes up to a minute\n")
                sys.stderr.flush()

        def on_end(self, event: object) -> None:
            """Nothing more is said."""

    listener = Listener()
    event.register("numba:compile", listener)
    try:
        yield
    finally:
        event.unregister("numba:compile", listener)
