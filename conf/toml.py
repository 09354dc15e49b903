"""TOML that remembers where each key stands, and layers of it in which the later win."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

from conf.errors import ConfError, Fault

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """One TOML file: `file` as people know it, its `text`, and its `data` with tuples for arrays."""

    file: str
    text: str
    data: dict[str, Any]

    @classmethod
    def parse(cls, file: str, text: str) -> Document:
        """The document in `text`; raises ConfError where it is not TOML."""
        try:
            return cls(file, text, _freeze(tomllib.loads(text)))
        except tomllib.TOMLDecodeError as error:
            place = re.search(r"\(at line (\d+), column \d+\)$", str(error))
            line = int(place[1]) if place else text.count("\n") + 1
            raise ConfError([Fault(file=file, line=line, message=f"not TOML: {error}")]) from None

    @cached_property
    def lines(self) -> dict[KeyPath, int]:
        """The line on which each key is first given."""
        return _key_lines(self.text)


class Layers:
    """Documents laid over each other: keys given by a later one win, the others stay."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self.documents = tuple(documents)
        self.data: dict[str, Any] = reduce(_merge, (document.data for document in self.documents), {})

    def fault(self, path: KeyPath, message: str) -> Fault:
        """A fault at `path`, in the last document that gives it, or gives the table it belongs in."""
        key = ".".join(str(part) for part in path if isinstance(part, str))
        for length in range(len(path), 0, -1):
            for document in reversed(self.documents):
                if line := document.lines.get(path[:length]):
                    return Fault(file=document.file, line=line, key=key, message=message)
        return Fault(file=self.documents[-1].file, line=1, key=key, message=message)


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(below.get(key), dict)
        merged[key] = _merge(below[key], value) if both else value
    return merged


def _freeze(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _freeze(item) for key, item in value.items()}
    return tuple(map(_freeze, value)) if isinstance(value, list) else value


def _key_lines(text: str) -> dict[KeyPath, int]:
    # tomllib tells no positions. A statement is the shortest run of lines that is TOML by itself, because a
    # line may end inside a statement only within an open bracket or string.
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    tables_of: dict[KeyPath, int] = {}
    statement, start = "", 1
    for number, line in enumerate(text.split("\n"), start=1):
        statement += line + "\n"
        try:
            parsed = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        if statement.lstrip().startswith("["):
            table = _header(parsed, tables_of)
            for length in range(1, len(table) + 1):
                lines.setdefault(table[:length], start)
        else:
            for path in _paths(parsed):
                lines.setdefault((*table, *path), start)
        statement, start = "", number + 1
    return lines


def _header(parsed: Any, tables_of: dict[KeyPath, int]) -> KeyPath:
    path: KeyPath = ()
    while parsed:
        if isinstance(parsed, list):
            tables_of[path] = tables_of.get(path, -1) + 1
            path, parsed = (*path, tables_of[path]), parsed[0]
        else:
            key, parsed = next(iter(parsed.items()))
            path = (*path, key)
    return path


def _paths(parsed: dict[str, Any]) -> Iterator[KeyPath]:
    for key, value in parsed.items():
        yield (key,)
        if isinstance(value, dict):
            yield from ((key, *path) for path in _paths(value))
