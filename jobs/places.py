"""Where things lie: addresses of lakes as folders of this machine. Needs no Spark."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlparse


def keep_to_owner(address: str) -> None:
    """Make a folder that nobody else may look into; in an object store its rules have to say so."""
    if (folder := local_path(address)) is not None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)


def local_path(address: str) -> Path | None:
    """The address as a path of this machine, or None where it is an object store's."""
    parsed = urlparse(address)
    return Path(parsed.path) if parsed.scheme in ("", "file") else None
