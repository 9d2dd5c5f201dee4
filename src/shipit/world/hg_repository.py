# SPDX-License-Identifier: MPL-2.0
"""A real Mercurial repository with trains: a tale written for git, and converted by Mercurial's `convert`.

Branches of the tale are bookmarks of the repository, as in mozilla-unified.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from shipit.errors import CommandFailed
from shipit.world.repository import Tale

_SETTINGS = ("extensions.convert=", "convert.git.similarity=50", "ui.interactive=false")


def has_hg() -> bool:
    """Whether this machine has Mercurial, as a package beside this Python or its own."""
    return _program() is not None


def write_hg(tale: Tale, folder: Path) -> dict[int, str]:
    """Make or extend the Mercurial repository at `folder`; returns mark -> changeset hash.

    The git repository that it is converted from stays beside it. Raises CommandFailed.
    """
    source = git_beside(folder)
    hashes = tale.write(source)
    converted = convert(source, folder)
    return {mark: converted[name] for mark, name in hashes.items()}


def git_beside(folder: Path) -> Path:
    """The git repository that a Mercurial one is converted from."""
    return folder.with_name(f"{folder.name}.git")


def convert(source: Path, folder: Path) -> dict[str, str]:
    """Convert what is new in a git repository; returns git hash -> changeset hash. Raises CommandFailed."""
    program = _program()
    if program is None:
        raise CommandFailed(("hg",), None, "there is no hg here: install the package `mercurial`")
    settings = [word for setting in _SETTINGS for word in ("--config", setting)]
    command = (program, *settings, "convert", "--quiet", "-s", "git", str(source), str(folder))
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    quiet = {
        **kept,
        "HGRCPATH": "",
        "HGPLAIN": "1",
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    done = subprocess.run(command, capture_output=True, timeout=300, env=quiet, check=False)
    if done.returncode:
        raise CommandFailed(command, done.returncode, done.stderr.decode("utf-8", "replace"))
    lines = (folder / ".hg/shamap").read_text("ascii").splitlines()
    return dict(line.split() for line in lines)


def _program() -> str | None:
    beside = Path(sys.executable).with_name("hg")
    return str(beside) if beside.is_file() else shutil.which("hg")
