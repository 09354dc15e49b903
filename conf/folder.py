"""A configuration folder: the packaged one, or `CLM_CONF` laid over it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from conf.errors import ConfError, Fault, hint
from conf.toml import Document

FILES = (
    "base.toml",
    "cohorts.toml",
    "backfills.toml",
    "caps.toml",
    "levels.toml",
    "risk.toml",
    "events.toml",
)
FOLDERS = ("sources", "segments", "triggers")
# What base.toml and the file of an environment may hold.
TABLES = ("lake", "spark", "quality", "engines", "conf")


@dataclass(frozen=True)
class Folder:
    """`root`, and what it is called in messages."""

    root: Traversable
    name: str

    def read(self, file: str, faults: list[Fault]) -> Document | None:
        """The document `file`, if it is there and is TOML."""
        path = self.root.joinpath(file)
        if not path.is_file():
            return None
        try:
            return Document.parse(f"{self.name}/{file}", path.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            faults.append(Fault(file=f"{self.name}/{file}", message="is not UTF-8"))
        except ConfError as error:
            faults.extend(error.faults)
        return None

    def read_all(self, folder: str, faults: list[Fault]) -> list[Document]:
        """The TOML documents in `folder`, by file name."""
        documents = []
        for entry in _entries(self.root.joinpath(folder)):
            if not entry.name.endswith(".toml"):
                faults.append(Fault(file=f"{self.name}/{folder}/{entry.name}", message="should be a .toml file"))
            elif document := self.read(f"{folder}/{entry.name}", faults):
                documents.append(document)
        return documents

    def environments(self) -> list[str]:
        """Names that `CLM_ENV` may have: files at the top that hold nothing but tables of base.toml."""
        return [
            entry.name.removesuffix(".toml")
            for entry in _entries(self.root)
            if entry.is_file() and entry.name.endswith(".toml") and entry.name not in FILES and self._is_base(entry)
        ]

    def unknown_names(self, env: str) -> Iterator[Fault]:
        """Files and folders nothing would read: a misspelt name must not pass for a setting."""
        environments = [f"{name}.toml" for name in sorted({*self.environments(), "local", "prod", env})]
        for entry in _entries(self.root):
            if entry.name not in (FOLDERS if entry.is_dir() else (*FILES, *environments)):
                valid = (*FILES, *environments, *FOLDERS)
                message = f"nothing reads a file or folder of this name{hint(entry.name, valid)}"
                yield Fault(file=f"{self.name}/{entry.name}", message=message)

    def _is_base(self, entry: Traversable) -> bool:
        try:
            data = Document.parse(entry.name, entry.read_text(encoding="utf-8")).data
        except (ConfError, UnicodeDecodeError):
            return False
        return bool(data) and set(data) <= set(TABLES)


def packaged() -> Folder:
    """What is shipped; also readable from inside a zip."""
    return Folder(resources.files("conf"), "conf")


def overlay(path: str) -> Folder:
    """The folder that `CLM_CONF` names; raises ConfError where there is none."""
    root = Path(path).expanduser()
    if not root.is_dir():
        raise ConfError([Fault(key="CLM_CONF", message=f"{path} is no folder; name one, or unset CLM_CONF")])
    return Folder(root, str(root))


def _entries(folder: Traversable) -> list[Traversable]:
    """What is in `folder`, hidden files and notes for people aside."""
    if not folder.is_dir():
        return []
    entries = (entry for entry in folder.iterdir() if not entry.name.startswith(".") and not entry.name.endswith(".md"))
    return sorted(entries, key=lambda entry: entry.name)
