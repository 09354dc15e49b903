"""What a long command is doing, told on stderr: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import Progress as Live
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn


class Progress:
    """Tells each step when it is done and how long it took. This one says nothing: what `--quiet` asks for."""

    def __init__(self) -> None:
        self._depth = 0

    @contextmanager
    def step(self, what: str) -> Generator[None, None, None]:
        """Around a piece of work, such as "land payments"; steps may nest."""
        began = time.monotonic()
        self._begin(what)
        self._depth += 1
        ended = "failed after "
        try:
            yield
            ended = ""
        except BaseException as error:
            if not hasattr(error, "__notes__"):
                error.add_note(what)  # The innermost step, which is what the person who reads the error wants to know.
            raise
        finally:
            self._depth -= 1
            self._end(f"{'  ' * self._depth}{what} … {ended}{spoken(time.monotonic() - began)}")

    def note(self, text: str) -> None:
        """One line that is no step."""

    def _begin(self, what: str) -> None: ...

    def _end(self, line: str) -> None: ...


class Lines(Progress):
    """One line with the time of day for each step that is done: for logs."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def note(self, text: str) -> None:
        self._end("  " * self._depth + text)

    def _end(self, line: str) -> None:
        print(f"{time.strftime('%H:%M:%S')}  {line}", file=self._stream, flush=True)


class Display(Progress):
    """The steps under way with a spinner and the time so far; what is done scrolls up above them."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._live = Live(*columns, console=Console(file=stream, highlight=False), transient=True)

    def note(self, text: str) -> None:
        self._live.console.print("  " * self._depth + text, markup=False)

    def _begin(self, what: str) -> None:
        self._live.start()
        self._live.add_task(f"{'  ' * self._depth}{what}".replace("[", r"\["), total=None)

    def _end(self, line: str) -> None:
        self._live.remove_task(self._live.task_ids[-1])
        self._live.console.print(line, markup=False)
        if not self._live.task_ids:
            self._live.stop()


def progress_for(stream: TextIO | None = None, quiet: bool = False) -> Progress:
    """The telling that suits `stream`, which is stderr unless another is given."""
    if quiet:
        return Progress()
    out = sys.stderr if stream is None else stream
    return Display(out) if out.isatty() else Lines(out)


def spoken(seconds: float) -> str:
    """A duration as a person says it: "1.2 s", "3 min 05 s"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
