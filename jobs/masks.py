"""Activity as bits, in SQL: a mask is words of BIGINT, youngest first; bit i of word j is the date D - 64 j - i.

A null word is a word without bits. Spark takes the distance of a shift mod 64, as Java does.
"""

from __future__ import annotations

from collections.abc import Sequence

WORD = 64
# Dates that a stored mask reaches back, in two words.
DAYS = 128
# All bits but the sign's: what `first_days` holds.
BITS_63 = "9223372036854775807L"


def position_bit(position: str) -> str:
    """The bit of a position within its word; the word is `position div 64`."""
    return f"shiftleft(1L, cast({position} as int))"


def aged(words: Sequence[str], days: str, *, into: int) -> list[str]:
    """The mask as it is seen `days` (SQL, an int of 0 to 63) later, in `into` words: each bit moves up, or out."""

    def word(i: int) -> str:
        return f"coalesce({words[i]}, 0L)" if 0 <= i < len(words) else "0L"

    def aged_word(i: int) -> str:
        # Two shifts, so that nothing comes over from the word before where no day has passed.
        before = f"shiftrightunsigned(shiftrightunsigned({word(i - 1)}, 1), {WORD - 1} - ({days}))"
        return f"(shiftleft({word(i)}, {days}) | {before})"

    return [aged_word(i) for i in range(into)]


def from_position(words: Sequence[str], start: str) -> list[str]:
    """The mask with the bit of position `start` (SQL, 0 or more) as its bit 0: each bit moves down."""
    rest = f"cast({start} % {WORD} as int)"

    def word(i: int) -> str:
        return f"coalesce({words[i]}, 0L)" if i < len(words) else "0L"

    def moved(i: int) -> str:
        # Two shifts, so that nothing comes over from the next word where `rest` is 0.
        return f"(shiftrightunsigned({word(i)}, {rest}) | shiftleft(shiftleft({word(i + 1)}, 1), {WORD - 1} - {rest}))"

    def choice(i: int) -> str:
        arms = " ".join(f"when {j} then {moved(i + j)}" for j in range(len(words) - i))
        return f"case cast({start} div {WORD} as int) {arms} else 0L end"

    return [choice(i) for i in range(len(words))]


def has_any(words: Sequence[str], width: str) -> str:
    """Whether one of the youngest `width` (SQL, 1 or more) positions has its bit."""
    tests = [
        f"({word} & case when {width} >= {(j + 1) * WORD} then -1L when {width} <= {j * WORD} then 0L "
        f"else shiftrightunsigned(-1L, cast({(j + 1) * WORD} - {width} as int)) end) <> 0L"
        for j, word in enumerate(words)
    ]
    return f"({' or '.join(tests)})"


def bits(words: Sequence[str]) -> str:
    """How many bits are set."""
    return " + ".join(f"bit_count({word})" for word in words)
