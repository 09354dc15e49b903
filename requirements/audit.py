"""Ask PyPI, by pip-audit, what is known against every pinned version. Run by `make audit`.

pip-audit ends well when the service knows nothing of a package, or answers without a word on vulnerabilities, as a
mirror may that serves files alone. Hence two guards: every pin must be answered for, and a version known to be
vulnerable must be found so. Jars are no matter of PyPI and are not looked at.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;\\]+)")
FOLDER = Path(__file__).parent
LOCKS = (FOLDER / "build.txt", FOLDER / "pipeline.txt")

Pin = tuple[str, str]
# Nobody will lock it, and its vulnerabilities are years old.
CONTROL: Pin = ("django", "1.11")


class AuditError(Exception):
    """Its text is what the user is shown."""


def pins_of(lock: Path) -> list[Pin]:
    """Every pinned version, those for other machines and other Pythons too."""
    pins: list[Pin] = []
    for number, line in enumerate(lock.read_text(encoding="utf-8").splitlines(), start=1):
        # Hashes and remarks are indented.
        if not line.strip() or line[0] in " #":
            continue
        match = PIN.match(line)
        if match is None:
            raise AuditError(
                f"{lock}:{number}: expected `name==version`, found `{line}`: make it again by `make lock`."
            )
        pins.append((match["name"], match["version"]))
    return pins


def rounds(pins: Iterable[Pin]) -> list[list[Pin]]:
    """The pins in as few lists as can be without a name twice in one, which pip-audit refuses."""
    by_name: dict[str, list[Pin]] = defaultdict(list)
    for pin in sorted(set(pins)):
        by_name[pin[0]].append(pin)
    return [[pin for pin in pins if pin] for pins in zip_longest(*by_name.values())]


def ask(pins: Sequence[Pin]) -> list[dict[str, Any]]:
    """What pip-audit says of each pin and of the control."""
    with tempfile.TemporaryDirectory() as temporary:
        listed = Path(temporary, "pins.txt")
        listed.write_text("".join(f"{name}=={version}\n" for name, version in (*pins, CONTROL)), encoding="utf-8")
        command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--no-deps", "--progress-spinner", "off"]
        command += ["--format", "json", "--desc", "off", "--requirement", str(listed)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return json.loads(run.stdout)["dependencies"]
    except json.JSONDecodeError:
        print(run.stderr, file=sys.stderr)
        raise AuditError("Nothing could be audited: pip-audit failed; its own words are above.") from None


def refuse_silence(pins: Sequence[Pin], answers: Sequence[dict[str, Any]]) -> None:
    """Raises AuditError unless the control was found vulnerable and every pin was answered for."""
    answered = {(answer["name"], answer["version"]): answer["vulns"] for answer in answers if "version" in answer}
    if not answered.get(CONTROL):
        raise AuditError(
            f"Nothing could be audited: the index that this machine reaches does not tell what is known against "
            f"{' '.join(CONTROL)}, so it would not tell of any other. Run `make audit` where PyPI itself is reached."
        )
    silent = [" ".join(pin) for pin in pins if pin not in answered]
    if silent:
        raise AuditError(f"Not audited, since PyPI does not know them: {', '.join(silent)}.")


def found(answers: Iterable[dict[str, Any]]) -> list[str]:
    """A line for each vulnerability of a pin: the version, what it is called, where it is mended."""
    return [
        f"{answer['name']} {answer['version']}: {vulnerability['id']}, "
        f"mended in {', '.join(vulnerability['fix_versions']) or 'no version yet'}"
        for answer in answers
        if answer["name"] != CONTROL[0]
        for vulnerability in answer.get("vulns", [])
    ]


def main() -> int:
    try:
        pins = [pin for lock in LOCKS for pin in pins_of(lock)]
        vulnerabilities: list[str] = []
        for asked in rounds(pins):
            answers = ask(asked)
            refuse_silence(asked, answers)
            vulnerabilities += found(answers)
    except (AuditError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(*vulnerabilities, f"{len(set(pins))} versions audited, {len(vulnerabilities)} vulnerabilities.", sep="\n")
    return 1 if vulnerabilities else 0


if __name__ == "__main__":
    raise SystemExit(main())
