"""The comparison that the real checks rest on: it must be able to fail."""

from __future__ import annotations

from tests.real.comparison import differences


def test_equal_figures_have_no_differences():
    assert differences({"sales": 3, "duplicate": 0}, {"duplicate": 0, "sales": 3}) == []


def test_each_figure_that_differs_is_named():
    found = differences({"sales": 3, "cancellations": 1}, {"sales": 4, "cancellations": 1})
    assert found == ["sales: 3, expected 4"]


def test_a_figure_that_one_side_lacks_is_a_difference():
    assert differences({}, {"2011-03 sales": 0}) == ["2011-03 sales: nothing, expected 0"]
    assert differences({"2012-01 sales": 0}, {}) == ["2012-01 sales: 0, expected nothing"]


def test_digests_are_compared_like_figures():
    found = differences({"core.transactions 2011-12-08": "17"}, {"core.transactions 2011-12-08": "18"})
    assert found == ["core.transactions 2011-12-08: 17, expected 18"]
