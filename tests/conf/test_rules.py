"""Stages, levels, segments and risks as they are read: shipped, laid over, and wrong with file and line."""

from __future__ import annotations

import pytest

import conf
from conf import ConfError
from tests import segment_text
from tests.conf.conftest import Write


def segment(name: str = "lively", when: str = "recharge_count >= 1") -> str:
    return segment_text.segment(name, when)


def test_what_is_shipped() -> None:
    settings = conf.load(environ={})
    assert [rung.name for rung in settings.levels.level] == [
        *("visitor", "recharge", "postpaid", "sender", "power", "premium")
    ]
    assert len(settings.segments) >= 12
    assert [segment.name for segment in settings.segments] == sorted(segment.name for segment in settings.segments)
    assert all(segment.location.startswith("conf/segments/") for segment in settings.segments)


def test_a_segment_of_ones_own_stands_beside_the_shipped_ones(overlay: Write) -> None:
    settings = conf.load(environ=overlay({"segments/mine.toml": segment()}))
    own = next(each for each in settings.segments if each.name == "lively")
    assert own.location.endswith("own/segments/mine.toml:2")
    assert not own.replaces
    assert len(settings.segments) == len(conf.load(environ={}).segments) + 1


def test_one_of_the_same_name_replaces_the_shipped_one_whole(overlay: Write) -> None:
    settings = conf.load(environ=overlay({"segments/mine.toml": segment("sender")}))
    [own] = [each for each in settings.segments if each.name == "sender"]
    assert own.replaces
    assert own.when == "recharge_count >= 1"


def test_what_is_shipped_can_be_left_out(overlay: Write) -> None:
    base = "[conf]\npackaged = { segments = false }\n"
    assert conf.load(environ=overlay({"base.toml": base})).segments == ()


def test_levels_are_given_anew_as_a_whole(overlay: Write) -> None:
    own = '[[level]]\nname = "all"\nabout = "Everyone."\nenter = "true"\nstay = "true"\n'
    levels = conf.load(environ=overlay({"levels.toml": own})).levels
    assert [rung.name for rung in levels.level] == ["all"]
    assert levels.lifecycle == conf.load(environ={}).levels.lifecycle


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("segments/a.toml", "[segment]\nname = 'x'\n", "a.toml:1: segment: should be [[segment]]"),
        ("segments/a.toml", segment().replace("owner", "ownr"), "a.toml:5: segment.ownr: unknown key; did you mean"),
        ("segments/a.toml", segment().replace('owner = "tests"\n', ""), "a.toml:2: segment.owner: is missing"),
        ("segments/a.toml", segment("Very Lively"), "lower case with underscores"),
        ("segments/a.toml", segment().replace('when = "recharge_count >= 1"', "when = 5"), "segment.when: "),
        ("segments/a.toml", "[[segmnt]]\nname = 'x'\n", "a.toml:1: segmnt: unknown key; did you mean segment?"),
        ("levels.toml", "[[level]]\nname = 'x'\n", "level.about: is missing"),
        ("risk.toml", "[bands]\nlow = 5\n", "risk.toml:1: bands: should begin at 0"),
        ("risk.toml", "[bands]\nlow = 0\nhigh = 0\n", "each band elsewhere"),
        ("base.toml", "[engines]\nseconds_at_most = 0\n", "engines.seconds_at_most"),
    ],
)
def test_what_is_wrong_is_said_with_file_line_and_key(overlay: Write, file: str, text: str, said: str) -> None:
    with pytest.raises(ConfError) as refused:
        conf.load(environ=overlay({file: text}))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "is_same"),
    [
        (segment().replace("Made up.", "Made up again."), True),
        (segment().replace('"tests"', '"others"'), True),
        (segment(when="recharge_count >= 2"), False),
        (segment() + "effective_from = 2026-01-01\n", False),
        (segment() + "enabled = false\n", False),
    ],
)
def test_the_digest_is_over_what_a_rule_decides(overlay: Write, text: str, is_same: bool) -> None:
    before = conf.load(environ=overlay({"segments/mine.toml": segment()})).digest
    assert (conf.load(environ=overlay({"segments/mine.toml": text})).digest == before) is is_same
