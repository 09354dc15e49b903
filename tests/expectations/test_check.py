from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from expectations import check
from expectations.check import CheckError, judge, judge_all
from expectations.figures import Expectation, Figure, Suite


def suite_of(*expectations: Expectation, name: str = "s") -> Suite:
    names = dict.fromkeys(figure for expectation in expectations for figure in expectation.figures)
    return Suite(name, "core.t", tuple(Figure(figure, None) for figure in names), expectations)


BETWEEN = suite_of(Expectation("share_usual", "share", "a tenth to a half", Decimal("0.1"), Decimal("0.5")))
MOST = suite_of(Expectation("none_bad", "bad", "no bad row", maximum=0))
LEAST = suite_of(Expectation("not_empty", "rows", "has rows", minimum=1))
SAME = suite_of(Expectation("agree", "rows", "as many rows as keys", equals="keys"))
WHOLE_LIMIT = 2**53


@pytest.mark.parametrize(
    ("suite", "figures", "success", "observed"),
    [
        (BETWEEN, {"share": Decimal("0.1")}, True, "0.1"),
        (BETWEEN, {"share": Decimal("0.099999")}, False, "0.099999"),
        (BETWEEN, {"share": Decimal("0.500001")}, False, "0.500001"),
        (MOST, {"bad": 0}, True, "0"),
        (MOST, {"bad": 1}, False, "1"),
        (LEAST, {"rows": 1}, True, "1"),
        (LEAST, {"rows": 0}, False, "0"),
        (SAME, {"rows": 3, "keys": 3}, True, "3 against 3"),
        (SAME, {"rows": 3, "keys": 2}, False, "3 against 2"),
        # Floats could not tell these two apart.
        (SAME, {"rows": WHOLE_LIMIT, "keys": WHOLE_LIMIT + 1}, False, f"{WHOLE_LIMIT} against {WHOLE_LIMIT + 1}"),
    ],
)
def test_a_figure_is_judged_and_told(suite, figures, success, observed):
    (result,) = judge(suite, figures)
    assert (result.success, result.observed) == (success, observed)


def test_a_result_says_what_where_and_how_grave():
    suite = suite_of(Expectation("unusual", "rows", "at most ten", maximum=10, severity="warn"))
    (result,) = judge(suite, {"rows": 11})
    assert result == check.Result("core.t", "s", "unusual", "warn", False, "11", "at most ten")


def test_results_keep_the_order_of_the_suite_and_expectations_of_one_figure_apart():
    suite = suite_of(
        Expectation("b", "rows", "", maximum=1),
        Expectation("a", "rows", "", maximum=1),
        Expectation("c", "rows", "", maximum=2),
    )
    assert [(r.expectation, r.success) for r in judge(suite, {"rows": 2})] == [("b", False), ("a", False), ("c", True)]


def test_each_case_of_a_range_is_judged_by_its_own_figures():
    results = judge_all([(MOST, {"bad": 0}), (LEAST, {"rows": 0}), (MOST, {"bad": 7}), (MOST, {"bad": 0})])
    assert [(r.expectation, r.success, r.observed) for (r,) in results] == [
        ("none_bad", True, "0"),
        ("not_empty", False, "0"),
        ("none_bad", False, "7"),
        ("none_bad", True, "0"),
    ]


@pytest.mark.parametrize(
    ("minimum", "maximum", "rows", "success"),
    [
        (1, 2, 2, True),
        (1, 2, 3, False),
        (3, 9, 2, False),
        (3, None, 3, True),
        (3, None, 2, False),
        (None, Decimal("4.5"), 4, True),
        (None, Decimal("4.5"), 5, False),
        # The same bound either way, though GX knows bounds as floats.
        (Decimal("0.1"), Decimal("0.1"), Decimal("0.1"), True),
    ],
)
def test_bounds_of_a_day_of_its_own_are_judged_as_if_alone(minimum, maximum, rows, success):
    of_the_day = suite_of(Expectation("volume", "rows", "usual", minimum, maximum))
    of_another = suite_of(Expectation("volume", "rows", "usual", 100, 200))
    alone = judge(of_the_day, {"rows": rows})
    in_a_range = judge_all([(of_another, {"rows": 150}), (of_the_day, {"rows": rows}), (of_another, {"rows": 99})])
    assert alone == in_a_range[1]
    assert [result.success for (result,) in in_a_range] == [True, success, False]


def test_days_may_differ_in_one_bound_and_have_no_other():
    days = [(suite_of(Expectation("few", "rows", "few", maximum=most)), {"rows": 2}) for most in (1, 2)]
    assert [result.success for (result,) in judge_all(days)] == [False, True]


@pytest.mark.parametrize(
    "figures",
    [
        {},
        {"bad": None},
        {"bad": Decimal("NaN")},
        {"bad": Decimal("Infinity")},
        {"bad": float("nan")},
        {"bad": 0.0},
        {"bad": "0"},
        {"bad": False},
    ],
)
def test_a_figure_that_is_missing_or_no_number_is_never_a_pass(figures):
    with pytest.raises(CheckError, match=r"Figure bad of the suite s of core.t is"):
        judge(MOST, figures)


def test_one_missing_figure_stops_the_whole_range():
    with pytest.raises(CheckError, match=r"Figure bad of the suite s of core.t is missing"):
        judge_all([(MOST, {"bad": 0}), (MOST, {})])


def test_nothing_to_judge_is_an_error():
    with pytest.raises(CheckError, match="no figures to judge"):
        judge_all([])


def test_a_suite_that_expects_nothing_is_an_error():
    with pytest.raises(CheckError, match="expects nothing"):
        judge(suite_of(), {"rows": 1})


def test_an_exception_inside_gx_is_an_error():
    """GX catches what its metrics raise and says `success: False`; here text is compared with a number."""
    with pytest.raises(CheckError, match="not supported between instances of"):
        check._crossed([("text", 0)])


@pytest.mark.parametrize("bound", [(None, Decimal(0)), (Decimal(1), None), (None, None)])
def test_a_bound_that_is_missing_is_never_a_pass(bound):
    """GX can be told to pass over them."""
    assert check._crossed([(Decimal(1), Decimal(0)), bound]) == [1]


def test_what_gx_cannot_judge_says_of_which_suites(monkeypatch):
    monkeypatch.setattr(check, "_bounds", lambda expectation, numbers: [("text", 0)])
    with pytest.raises(CheckError, match=r"Great Expectations could not judge the suite s of core.t"):
        judge(MOST, {"bad": 0})


def test_a_bound_that_gx_did_not_look_at_is_an_error(monkeypatch):
    monkeypatch.setattr(check, "WITH_BOUNDS", {"result_format": "BASIC"})
    with pytest.raises(CheckError):
        judge(MOST, {"bad": 1})


OFFLINE = """
import socket, sys

tried = []

def refuse(*args, **kwargs):
    tried.append(args)
    raise OSError("no network in this test")

socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = socket.create_connection = refuse

from expectations import business, check, derived, figures

assert not {"great_expectations", "pandas", "pyspark"} & set(sys.modules), "loaded before the first judgement"
suite = figures.suite_of("s", "core.t", [figures.NoRow("bad", "bad", "no bad row")])
assert [result.success for result in check.judge(suite, {"bad": 1})] == [False]
assert not tried, tried
print("judged")
"""


def test_gx_is_loaded_late_and_calls_nobody(tmp_path):
    """A script and not `python -c`: GX ends such a process with exit 0 while it is imported."""
    script = tmp_path / "offline.py"
    script.write_text(OFFLINE)
    root = Path(check.__file__).parents[1]
    run = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout.splitlines()) == (0, ["judged"]), run.stderr
    assert "Calculating Metrics" not in run.stderr
