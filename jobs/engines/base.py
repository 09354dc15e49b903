"""What an engine is: something that scores customers, of ours or of somebody else's package.

An engine is a class, found by the entry-point group `clm.engines` and named in `[engines] run` of conf. It is made with
the settings of the lake, and knows neither paths nor clocks: it gets frames and gives a frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Protocol

from conf import Settings
from conf.errors import hint
from jobs.errors import Usage
from jobs.rules import RuleColumn
from jobs.rules.columns import scores
from schemas.judgement import ENGINE_MODELS
from schemas.mart import CUSTOMER_PROFILE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

GROUP = "clm.engines"


class Engine(Protocol):
    """Scores customers row by row: what it says of one does not depend on who else is there.

    name: as conf names it. version: changes whenever the same input may get another answer. prefix: of the columns
    that rules read, <prefix>_score, <prefix>_band and <prefix>_reasons. bands: the values of its band, lowest first.
    reads: the tables it is given beside mart.customer_profile of the night: core.* as known on the night,
    mart.customer_segments of the night before, and mart.engine_models of an engine that learns.
    The same customer with the same facts gets the same row, its `values` to the letter.
    """

    name: str
    version: str
    prefix: str
    bands: tuple[str, ...]
    reads: tuple[str, ...]

    def fit(self, frames: Mapping[str, DataFrame], through: date) -> DataFrame | None:
        """What it learns of the profile and core.* as known on `through`: one row is a parameter and its value.

        Columns: data_from date, parameter string, value decimal(18,9). None of an engine that learns nothing.
        """
        ...

    def score(self, frames: Mapping[str, DataFrame], as_of: date) -> DataFrame:
        """One row is one customer whom it scores on `as_of`; customers it says nothing of have none.

        Columns: customer_id, score bigint 0 to 1000, band, values (JSON with sorted keys), reasons array<string>.
        Of an engine that learns, mart.engine_models is its newest fit from before the night.
        """
        ...


def engines(settings: Settings) -> list[Engine]:
    """The engines that run, by name. Raises Usage for a name that nobody installed and for two of one prefix."""
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    made: list[Engine] = []
    for name in sorted(set(settings.engines.run)):
        if name not in found:
            raise Usage(f"[engines] run: no installed package has an engine {name!r} in {GROUP}{hint(name, found)}.")
        engine: Engine = found[name].load()(settings)
        if engine.name != name or not engine.bands:
            raise Usage(f"The engine {name} calls itself {engine.name!r} and has {len(engine.bands)} bands.")
        if taken := [other.name for other in made if other.prefix == engine.prefix]:
            raise Usage(f"The engines {taken[0]} and {name} both write {engine.prefix}_score: run one of them.")
        made.append(engine)
    return made


def score_columns(engines: list[Engine]) -> dict[str, RuleColumn]:
    """The columns that rules may read of these engines."""
    return {name: column for engine in engines for name, column in scores(engine.prefix, engine.bands).items()}


def learns(engine: Engine) -> bool:
    """Whether it has something to fit."""
    return ENGINE_MODELS.name in engine.reads


def reads_profile_only(engine: Engine) -> bool:
    """Whether several nights may be scored at once: it asks for nothing that the night before has judged."""
    return set(engine.reads) <= {CUSTOMER_PROFILE.name, ENGINE_MODELS.name}
