"""Chance without dice: what happens is a hash of the seed, who it happens to, and what it is about.

Draws are made as SQL text: a thousand of them as columns would be ten thousand calls from Python to the JVM.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True)
class Chance:
    """Draws for the rows of a frame that are told apart by the columns `keys`; any SQL text can be a key.

    Draws for different purposes are independent; the same purpose is the same draw.
    """

    seed: int
    keys: tuple[str, ...]

    def draw(self, purpose: str) -> str:
        """SQL text of a number between 0 and 1, neither included."""
        salt = int.from_bytes(hashlib.sha256(f"{self.seed}/{purpose}".encode()).digest()[:6])
        bits = f"shiftrightunsigned(xxhash64({salt}L, {', '.join(self.keys)}), 12)"
        return f"(({bits} + 0.5D) * {2.0**-52}D)"

    def chance(self, purpose: str, share: float) -> str:
        """SQL text that is true for such a share."""
        return f"({self.draw(purpose)} < {float(share)}D)"

    def number(self, purpose: str, least: int, most: int) -> str:
        """SQL text of an int from `least` to `most`, both included."""
        return f"cast(floor({self.draw(purpose)} * {most - least + 1}) + {least} as int)"

    def wait(self, purpose: str) -> str:
        """SQL text of an exponential draw with mean 1."""
        return f"(-ln({self.draw(purpose)}))"

    def one_of(self, purpose: str, weights: Mapping[str, float] | Mapping[str, str]) -> str:
        return one_of(self.draw(purpose), weights)


def normal(draw: str) -> str:
    """Of a draw, one with mean 0 and deviation 1: Tukey's lambda, which needs no second draw and no cosine."""
    return f"((pow({draw}, 0.135D) - pow(1 - {draw}, 0.135D)) / 0.1975D)"


def one_of(draw: str, weights: Mapping[str, float] | Mapping[str, str]) -> str:
    """SQL text of the name into whose part of the summed weights a draw falls.

    A draw is SQL text, so the name of a column too; so is a weight that differs from row to row.
    """
    *limits, total = accumulate((f"{weight}" for weight in weights.values()), "{} + {}".format)
    if all(isinstance(weight, int | float) for weight in weights.values()):
        # Sums of constants are made here: they would be made anew for every row.
        *limits, total = (f"{float(limit)}D" for limit in accumulate(map(float, weights.values())))
    *names, last = weights
    chosen = f"'{last}'"
    for name, limit in zip(reversed(names), reversed(limits), strict=True):
        chosen = f"if({draw} * ({total}) < {limit}, '{name}', {chosen})"
    return chosen
