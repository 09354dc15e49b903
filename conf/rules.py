"""Rules as product managers write them: stages, levels, segments and risks. What they say is checked by jobs.rules."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import Field, PrivateAttr, field_validator

from conf.model import Frozen, Text, spelt
from schemas.judgement import HIGHEST_SCORE

Name = Annotated[str, spelt(r"[a-z][a-z0-9_]*", "lower case with underscores, such as upi_user")]
# Rows that name what the rule reads; in `matches` those that meet it, in `excludes` those that do not.
Examples = tuple[dict[str, Any], ...]


class Written(Frozen):
    """What every rule has: a name, a sentence, examples, and the file and line where it begins (`location`)."""

    name: Name
    about: Text
    matches: Examples = ()
    excludes: Examples = ()
    _location: str = PrivateAttr("")

    @property
    def location(self) -> str:
        return self._location

    def at(self, location: str) -> None:
        """Note where it stands; the loader does, once."""
        self._location = location


class Stage(Written):
    """A stage of the lifecycle: of those in order the first whose `when` is met is the customer's."""

    when: Text


class Rung(Written):
    """A level: held by whoever meets `stay` and either meets `enter` or held it the night before."""

    enter: Text
    stay: Text


class LevelSettings(Frozen):
    """The stages of life, first match first; and the ladder, lowest level first."""

    lifecycle: tuple[Stage, ...] = Field(min_length=1)
    # Each is a bit of an INT.
    level: tuple[Rung, ...] = Field(min_length=1, max_length=30)


class Owned(Written):
    """A rule of somebody's own, which counts from `effective_from` on while it is `enabled`."""

    owner: Text
    when: Text
    effective_from: date | None = None
    enabled: bool = True
    _replaces: bool = PrivateAttr(False)

    @property
    def replaces(self) -> bool:
        """Whether it stands in for one of the same name of an earlier folder."""
        return self._replaces

    def replace_earlier(self) -> None:
        """Note that it does; the loader does, once."""
        self._replaces = True


class Segment(Owned):
    """A segment: everyone whose row meets `when`."""


class Risk(Written):
    """One declared rule of the risk engine; whoever meets it gets its points."""

    points: Annotated[int, Field(ge=1, le=HIGHEST_SCORE)]
    when: Text


class RiskSettings(Frozen):
    """The rules of the risk engine, and from which score on a band begins; the lowest at 0."""

    bands: dict[Name, Annotated[int, Field(ge=0, le=HIGHEST_SCORE)]]
    risk: tuple[Risk, ...] = Field(min_length=1)

    @field_validator("bands")
    @classmethod
    def _from_zero(cls, bands: dict[str, int]) -> dict[str, int]:
        if min(bands.values(), default=1) != 0 or len(set(bands.values())) < len(bands):
            raise ValueError("should begin at 0, and each band elsewhere")
        return bands


class EngineSettings(Frozen):
    """Which engines run, and how long one may take for a night before its scores are given up."""

    run: tuple[Name, ...]
    seconds_at_most: Annotated[int, Field(ge=1)]
