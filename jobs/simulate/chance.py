"""Chance without dice: what happens is a hash of the seed, who it happens to, and what it is about.

Draws are made as SQL text: a thousand of them as columns would be ten thousand calls from Python to the JVM.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

from pyspark.sql import Column
from pyspark.sql import functions as F


@dataclass(frozen=True)
class Chance:
    """Draws for the rows of a frame that are told apart by the columns `keys`.

    Draws for different purposes are independent; the same purpose is the same draw.
    """

    seed: int
    keys: tuple[str, ...]

    def uniform(self, purpose: str) -> Column:
        """Between 0 and 1, neither included."""
        return F.expr(self._draw(purpose))

    def happens(self, purpose: str, share: float) -> Column:
        return F.expr(f"{self._draw(purpose)} < {float(share)}D")

    def whole(self, purpose: str, least: int, most: int) -> Column:
        """An int from `least` to `most`, both included."""
        return F.expr(f"cast(floor({self._draw(purpose)} * {most - least + 1}) + {least} as int)")

    def exponential(self, purpose: str) -> Column:
        """With mean 1."""
        return F.expr(f"-ln({self._draw(purpose)})")

    def normal(self, purpose: str) -> Column:
        return normal(self._draw(purpose))

    def choose(self, purpose: str, weights: Mapping[str, float]) -> Column:
        return choose(self._draw(purpose), weights)

    def _draw(self, purpose: str) -> str:
        salt = int.from_bytes(hashlib.sha256(f"{self.seed}/{purpose}".encode()).digest()[:6])
        bits = f"shiftrightunsigned(xxhash64({salt}L, {', '.join(self.keys)}), 12)"
        return f"(({bits} + 0.5D) * {2.0**-52}D)"


def normal(draw: str) -> Column:
    """Of a draw, one with mean 0 and deviation 1: Tukey's lambda, which needs no second draw and no cosine."""
    return F.expr(f"(pow({draw}, 0.135D) - pow(1 - {draw}, 0.135D)) / 0.1975D")


def choose(draw: str, weights: Mapping[str, float] | Mapping[str, str]) -> Column:
    """The name into whose part of the summed weights a draw falls.

    A draw is SQL text, so the name of a column too; so is a weight that differs from row to row.
    """
    *limits, total = accumulate((f"{weight}" for weight in weights.values()), "{} + {}".format)
    *names, last = weights
    chosen = f"'{last}'"
    for name, limit in zip(reversed(names), reversed(limits), strict=True):
        chosen = f"if({draw} * ({total}) < {limit}, '{name}', {chosen})"
    return F.expr(chosen)
