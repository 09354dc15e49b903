"""CSV cells: numbers stay numbers, texts are safe for spreadsheets and come back as they were."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from jobs import csv_text

INDIA = timezone(timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        (True, "true"),
        (-5, "-5"),
        # A number is no formula, however it begins.
        (Decimal("-0.001010"), "-0.001010"),
        (Decimal("1E+2"), "1E+2"),
        ("-5", "'-5"),
        ("+919876543210", "'+919876543210"),
        ("'=1", "''=1"),
        ("it's", "it's"),
        (date(2026, 2, 1), "2026-02-01"),
        (datetime(2026, 2, 1, 10, 0, tzinfo=INDIA), "2026-02-01T04:30:00Z"),
        (datetime(2026, 2, 1, 4, 30, tzinfo=UTC), "2026-02-01T04:30:00Z"),
        (["a", "b"], '["a","b"]'),
        ('say "hi", or\r\nnot', 'say "hi", or\r\nnot'),
    ],
)
def test_a_reader_sees_the_cell(value: Any, cell: str) -> None:
    line = csv_text.line(["first", value, "last"])
    [row] = csv.reader(io.StringIO(line, newline=""))
    assert row == ["first", cell, "last"]
    assert line.endswith(",last\n")


@pytest.mark.parametrize("text", ["=1", "+91", "-", "@x", "\tx", "\rx", "'=1", "''@", "'", "", "plain"])
def test_a_text_comes_back_as_it_was(text: str) -> None:
    [[cell]] = csv.reader(io.StringIO(csv_text.line([text]), newline="")) if text else [[""]]
    assert csv_text.from_cell(cell) == text
