"""The engine risk: what may be wrong with a customer, by the rules that conf declares in risk.toml."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from pyspark.sql import DataFrame

from conf import Settings
from jobs.errors import DataRefused
from jobs.rules import version_of
from jobs.rules.book import compile_risks
from jobs.rules.columns import facts, read
from schemas.judgement import HIGHEST_SCORE
from schemas.mart import CUSTOMER_PROFILE

NO_REASONS = "cast(array() as array<string>)"


class RiskEngine:
    """The sum of the points of the rules that a customer meets; a high score is bad.

    Made of the lake's settings; what is wrong with its rules is said with all other rules of the lake.
    """

    name = "risk"
    prefix = "risk"
    reads: tuple[str, ...] = (CUSTOMER_PROFILE.name,)

    def __init__(self, settings: Settings) -> None:
        self._faults: list[str] = []
        self._rules = compile_risks(settings, self._faults)
        self._points = {risk.name: risk.points for risk in settings.risk.risk}
        self._facts = facts(zone=settings.lake.zone)
        self._bands = sorted(settings.risk.bands.items(), key=lambda band: band[1])
        self.bands: tuple[str, ...] = tuple(name for name, _ in self._bands)
        self.version = version_of(
            *(f"{rule.name}: {self._points[rule.name]} for {rule.predicate.text}" for rule in self._rules),
            *(f"{name}: from {lowest}" for name, lowest in self._bands),
        )

    def fit(self, frames: Mapping[str, DataFrame], through: date) -> None:
        """Nothing: all that it knows is declared."""

    def score(self, frames: Mapping[str, DataFrame], as_of: date) -> DataFrame:
        """One row is one customer of the profile, whether or not a rule is met.

        values: the facts that the rules met read, null where the customer has none. reasons: these rules by name, in
        the order of conf.
        """
        if self._faults:
            raise DataRefused("\n".join(self._faults))
        read_here = {name for rule in self._rules for name in rule.predicate.columns}
        known = frames[CUSTOMER_PROFILE.name].selectExpr("customer_id", *read(self._facts, read_here))
        judged = known.selectExpr("*", *(f"{rule.predicate.spark} as met_{rule.name}" for rule in self._rules))
        points = " + ".join(f"if(met_{rule.name}, {self._points[rule.name]}L, 0L)" for rule in self._rules)
        scored = judged.selectExpr("*", f"least({points}, {HIGHEST_SCORE}L) as score")
        bands = " ".join(f"when score >= {lowest} then '{name}'" for name, lowest in reversed(self._bands))
        reasons = ", ".join(f"if(met_{rule.name}, '{rule.name}', null)" for rule in self._rules)
        # Texts are made only where there is something to tell: most customers meet no rule.
        return scored.selectExpr(
            "customer_id",
            "score",
            f"case {bands} end as band",
            f"if(score > 0, {self._values(read_here)}, '{{}}') as values",
            f"if(score > 0, array_compact(array({reasons})), {NO_REASONS}) as reasons",
        )

    def _values(self, read_here: set[str]) -> str:
        """As SQL: the facts of the rules met as one JSON object, each fact by itself so that null is told as well."""
        pairs: list[str] = []
        for name in sorted(read_here):
            is_met = " or ".join(f"met_{rule.name}" for rule in self._rules if name in rule.predicate.columns)
            pair = f"trim(both '{{}}' from to_json(struct({name}), map('ignoreNullFields', 'false')))"
            pairs.append(f"if({is_met}, {pair}, null)")
        return f"concat('{{', array_join(array({', '.join(pairs)}), ','), '}}')"
