"""What can be wrong with a delivered row, by the reason it is to be quarantined for.

Each feed lists its flaws: reason -> whether it takes a file that can hold any text. Parquet has no room for half a
date.
"""

from __future__ import annotations

from collections.abc import Mapping

from jobs.simulate.plan import Format


def weights(flaws: Mapping[str, bool], file_format: Format) -> dict[str, float]:
    """Equal parts for those that a file of the format can hold."""
    return {reason: 1.0 for reason, needs_text in flaws.items() if file_format != "parquet" or not needs_text}
