"""An audit that could not see anything must not look like one that found nothing."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

# By its path: `requirements` is the name of a package that the linter of dependencies brings.
SCRIPT = runpy.run_path(str(Path(__file__).parents[1] / "requirements" / "audit.py"))
CONTROL, AuditError = SCRIPT["CONTROL"], SCRIPT["AuditError"]
found, pins_of, refuse_silence, rounds = (SCRIPT[name] for name in ("found", "pins_of", "refuse_silence", "rounds"))

PINS = [("numpy", "2.4.6"), ("rich", "14.0")]


def answer(name: str, version: str, *vulnerabilities: str, mended: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "name": name,
        "version": version,
        "vulns": [{"id": known, "fix_versions": list(mended)} for known in vulnerabilities],
    }


CONTROL_FOUND = answer(*CONTROL, "CVE-2019-14234", mended=("1.11.23",))
CLEAN = [answer(*pin) for pin in PINS]


def test_what_is_known_is_told_and_the_control_is_not() -> None:
    answers = [*CLEAN, answer("pip", "1.0", "CVE-1", mended=("1.1", "2.0")), answer("old", "3", "CVE-2"), CONTROL_FOUND]
    refuse_silence(PINS, answers)
    assert found(answers) == ["pip 1.0: CVE-1, mended in 1.1, 2.0", "old 3: CVE-2, mended in no version yet"]


@pytest.mark.parametrize(
    "control",
    [[], [answer(*CONTROL)], [{"name": CONTROL[0], "skip_reason": "not found"}]],
    ids=["not answered", "nothing known", "skipped"],
)
def test_a_service_that_does_not_find_the_control_is_no_audit(control: list[dict[str, Any]]) -> None:
    with pytest.raises(AuditError, match=r"Nothing could be audited.* django 1\.11"):
        refuse_silence(PINS, [*CLEAN, *control])


@pytest.mark.parametrize("silent", [[], [{"name": "rich", "skip_reason": "not found"}], [answer("rich", "13.0")]])
def test_a_pin_without_an_answer_of_its_own_fails(silent: list[dict[str, Any]]) -> None:
    with pytest.raises(AuditError, match=r"Not audited, since PyPI does not know them: rich 14\.0"):
        refuse_silence(PINS, [CLEAN[0], *silent, CONTROL_FOUND])


def test_pins_of_other_machines_count_and_two_of_a_name_are_asked_apart(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(
        "# made\nnumpy==2.4.6 ; python_full_version < '3.12' \\\n    --hash=sha256:0\n    # via pandas\n"
        "numpy==2.5.5 ; python_full_version >= '3.12' \\\n    --hash=sha256:1\nrich==14.0 \\\n    --hash=sha256:2\n"
    )
    pins = pins_of(lock)
    assert pins == [("numpy", "2.4.6"), ("numpy", "2.5.5"), ("rich", "14.0")]
    assert rounds(pins) == [[("numpy", "2.4.6"), ("rich", "14.0")], [("numpy", "2.5.5")]]


def test_a_line_that_pins_no_version_is_named(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("rich==14.0\ntool @ file:///tool.whl\n")
    with pytest.raises(AuditError, match=r"lock\.txt:2: expected `name==version`.*make lock"):
        pins_of(lock)
