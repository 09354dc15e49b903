"""Put the jars of jars.txt into <venv>/jars, each checked by its sha256. Run by `make setup`, never at run time."""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

LINE = re.compile(r"(?P<org>[\w.-]+):(?P<name>[\w.-]+):(?P<version>[\w.-]+)\s+sha256:(?P<sha256>[0-9a-f]{64})")


class FetchError(Exception):
    """Its text is the one sentence that the user is shown."""


@dataclass(frozen=True)
class Jar:
    org: str
    name: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        return f"{self.name}-{self.version}.jar"

    def matches(self, path: Path) -> bool:
        return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == self.sha256


def read_list(path: Path) -> list[Jar]:
    jars: list[Jar] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = LINE.fullmatch(text)
        if match is None:
            raise FetchError(f"{path}:{number}: expected `org:name:version sha256:<64 hex digits>`, found `{text}`.")
        jars.append(Jar(**match.groupdict()))
    return jars


def java() -> str:
    # The same order as Spark's launcher.
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin") if home else None)
    if found is None:
        raise FetchError("Java was not found: install Java 17 or newer, or set JAVA_HOME.")
    return found


def ivy() -> Path:
    # Spark ships Ivy for its own --packages, so nobody needs Maven installed.
    spec = find_spec("pyspark")
    folders = spec.submodule_search_locations if spec else None
    found = sorted(Path(folders[0], "jars").glob("ivy-*.jar")) if folders else []
    if not found:
        raise FetchError("pyspark is not installed in this environment: run `make setup`.")
    return found[-1]


def fetch(jars: list[Jar], into: Path, settings: Path | None) -> None:
    """Ask Ivy, with its default settings, for exactly these jars and nothing that they depend on."""
    wanted = "\n".join(
        f'<dependency org="{jar.org}" name="{jar.name}" rev="{jar.version}" transitive="false" conf="default"/>'
        for jar in jars
    )
    module = into / "ivy.xml"
    module.write_text(
        f'<ivy-module version="2.0"><info organisation="clm" module="jars"/>\n'
        f"<dependencies>\n{wanted}\n</dependencies></ivy-module>\n",
        encoding="utf-8",
    )
    command = [java(), "-jar", str(ivy()), "-ivy", str(module), "-cache", str(into / "cache"), "-types", "jar"]
    command += ["-retrieve", str(into / "[artifact]-[revision].[ext]")]
    if settings is not None:
        command += ["-settings", str(settings)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        print(run.stdout, run.stderr, sep="\n", file=sys.stderr)
        raise FetchError("The Delta jars could not be fetched; Ivy's own words are above.")


def bring(jars: list[Jar], folder: Path, settings: Path | None) -> int:
    """Returns how many had to be fetched. A jar is moved into place only after its sha256 was found right."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [jar for jar in jars if not jar.matches(folder / jar.file)]
    if missing:
        # Beside the target, so that the last step is a rename.
        with tempfile.TemporaryDirectory(prefix=".jars-", dir=folder.parent) as temporary:
            fetch(missing, Path(temporary), settings)
            for jar in missing:
                got = Path(temporary, jar.file)
                if not jar.matches(got):
                    digest = hashlib.sha256(got.read_bytes()).hexdigest() if got.is_file() else "no file at all"
                    raise FetchError(
                        f"{jar.file} is not the file that jars.txt names: expected sha256 {jar.sha256}, got {digest}."
                    )
            for jar in missing:
                Path(temporary, jar.file).replace(folder / jar.file)
    # The session takes every jar of the folder: one left from an older list would be loaded too.
    for stray in set(folder.glob("*.jar")) - {folder / jar.file for jar in jars}:
        stray.unlink()
    return len(missing)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--list", type=Path, default=Path(__file__).with_name("jars.txt"), help="coordinates and sha256"
    )
    parser.add_argument("--into", type=Path, default=Path(sys.prefix, "jars"), help="default: the environment's jars/")
    parser.add_argument("--settings", type=Path, help="an Ivy settings file, for a mirror; default: Ivy's own")
    args = parser.parse_args()
    try:
        jars = read_list(args.list)
        fetched = bring(jars, args.into, args.settings)
    except (FetchError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{len(jars)} jars in {args.into}, {fetched} of them fetched now.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
