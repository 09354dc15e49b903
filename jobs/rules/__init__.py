"""The rule language: one boolean predicate over one row, checked from its parse tree before anything runs.

Nothing of a rule's text reaches an engine. It is parsed, each node is looked up in a list of what is allowed, and the
SQL that Spark (and the oracle's DuckDB) gets is written anew from what was understood. The language is only what both
answer alike (tests/jobs/rules/test_language.py has a case for each function and operator, with its null arms):

- whole numbers are BIGINT and fractions DOUBLE; a result that does not fit, or a division by zero, is null
- `least` and `greatest` pass over nulls; texts are compared byte by byte
- a rule that is null is not met; so what is negated may not be null without saying what then (the null arm). That a
  whole number may not fit is no null that a rule has to speak of.
"""

from __future__ import annotations

from jobs.rules.language import Layer, Predicate, RuleColumn, RuleFault, Type, version_of
from jobs.rules.predicates import check

__all__ = ["Layer", "Predicate", "RuleColumn", "RuleFault", "Type", "check", "version_of"]
