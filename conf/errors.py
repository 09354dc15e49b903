"""What is wrong with a configuration, said so that it can be mended without reading code."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault, one sentence: `file:line: key: message`; what does not apply is left out."""

    message: str
    file: str = ""
    line: int | None = None
    key: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file and self.line else self.file
        return ": ".join(part for part in (place, self.key, self.message) if part)


class ConfError(Exception):
    """A configuration that cannot be used; carries every fault that was found, not only the first."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


def hint(word: str, valid: Iterable[str]) -> str:
    """The end of a sentence about an unknown `word`: the nearest valid name, or else the valid ones."""
    by_folded = {name.casefold(): name for name in valid}
    near = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {by_folded[near[0]]}?"
    return f"; valid are {', '.join(sorted(by_folded.values())[:20])}" if by_folded else ""
