"""A configuration folder of one test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[[dict[str, str]], dict[str, str]]


@pytest.fixture
def overlay(tmp_path: Path) -> Write:
    """Writes a CLM_CONF folder; gives the environment that names it."""

    def write(files: dict[str, str]) -> dict[str, str]:
        for name, text in files.items():
            path = tmp_path / "own" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return {"CLM_CONF": str(tmp_path / "own")}

    return write
