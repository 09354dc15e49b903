"""CSV as everything here writes it: RFC 4180, null as an empty cell, and no cell that a spreadsheet would run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

# What a spreadsheet would take for a formula; behind quotes it stays a text, and one more tells that apart.
FORMULA = re.compile(r"'*[=+\-@\t\r]")


def line(values: Iterable[Any]) -> str:
    """One line with its end. Python's own writer leaves a carriage return bare."""
    return ",".join(map(_cell, values)) + "\n"


def plain(value: Any) -> Any:
    """A value as JSON has it: times in UTC to the second, decimals as text, since a float would change them."""
    match value:
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        case date():
            return value.isoformat()
        case Decimal():
            return str(value)
        case bytes() | bytearray():
            return value.hex()
        case list():
            return [plain(each) for each in value]
        case _:
            return value


def from_cell(cell: str) -> str:
    """A text cell as it was before it was made safe for spreadsheets; numbers never were."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            told = "true" if value else "false"
        case list():
            told = json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))
        case str() if FORMULA.match(value):
            told = f"'{value}"
        case _:
            told = str(plain(value))
    return '"' + told.replace('"', '""') + '"' if re.search('[",\r\n]', told) else told
