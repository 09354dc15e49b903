"""What a long command is doing, told on stderr: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TextIO

from rich.console import Console
from rich.progress import Progress as Live
from rich.progress import SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

# How many steps are around this one: of its own thread, for some work is done side by side.
DEPTH: ContextVar[int] = ContextVar("depth", default=0)


class Progress:
    """Tells each step when it is done and how long it took. This one says nothing: what `--quiet` asks for."""

    @contextmanager
    def step(self, what: str) -> Generator[None, None, None]:
        """Around a piece of work, such as "land payments"; steps may nest."""
        began = time.monotonic()
        shown = self._begin(what)
        depth = DEPTH.set(DEPTH.get() + 1)
        ended = "failed after "
        try:
            yield
            ended = ""
        except BaseException as error:
            if not hasattr(error, "__notes__"):
                error.add_note(what)  # The innermost step, which is what the person who reads the error wants to know.
            raise
        finally:
            DEPTH.reset(depth)
            self._end(f"{_indent()}{what} … {ended}{spoken(time.monotonic() - began)}", shown)

    def note(self, text: str) -> None:
        """One line that is no step."""

    def _begin(self, what: str) -> TaskID | None: ...

    def _end(self, line: str, shown: TaskID | None = None) -> None: ...


class Lines(Progress):
    """One line with the time of day for each step that is done: for logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def note(self, text: str) -> None:
        self._end(_indent() + text)

    def _end(self, line: str, shown: TaskID | None = None) -> None:
        # In one piece: two threads may tell at once.
        self._stream.write(f"{time.strftime('%H:%M:%S')}  {line}\n")
        self._stream.flush()


class Display(Progress):
    """The steps under way with a spinner and the time so far; what is done scrolls up above them."""

    def __init__(self, stream: TextIO) -> None:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._live = Live(*columns, console=Console(file=stream, highlight=False), transient=True)

    def note(self, text: str) -> None:
        self._live.console.print(_indent() + text, markup=False)

    def _begin(self, what: str) -> TaskID:
        self._live.start()
        return self._live.add_task(f"{_indent()}{what}".replace("[", r"\["), total=None)

    def _end(self, line: str, shown: TaskID | None = None) -> None:
        if shown is not None:
            self._live.remove_task(shown)
        self._live.console.print(line, markup=False)
        if not self._live.task_ids:
            self._live.stop()


def progress_for(stream: TextIO | None = None, quiet: bool = False) -> Progress:
    """The telling that suits `stream`, which is stderr unless another is given."""
    if quiet:
        return Progress()
    out = sys.stderr if stream is None else stream
    return Display(out) if out.isatty() else Lines(out)


def _indent() -> str:
    return "  " * DEPTH.get()


def spoken(seconds: float) -> str:
    """A duration as a person says it: "1.2 s", "3 min 05 s"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
