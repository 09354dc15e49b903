"""Tests of real data: marked so, and skipped with a reason where the data is absent."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

BESIDE_THE_CHECKOUT = Path(__file__).parents[2].parent / "shared" / "data"
DATA = Path(os.environ.get("CLM_REAL_DATA") or BESIDE_THE_CHECKOUT)


def needs(files: Sequence[Path]) -> list[pytest.MarkDecorator]:
    absent = [str(file) for file in files if not (DATA / file).is_file()]
    reason = f"no {', '.join(absent)} below CLM_REAL_DATA (unset: ../shared/data beside the checkout)"
    return [pytest.mark.real, pytest.mark.skipif(bool(absent), reason=reason)]
