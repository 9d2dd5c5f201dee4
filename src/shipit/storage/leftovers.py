# SPDX-License-Identifier: MPL-2.0
"""What a killed run of the embedded server leaves behind, and how the next run removes it.

Only called by whoever holds the folder's lock: no other run of ours is alive in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from shipit.errors import Unavailable

UNFINISHED = "cluster.new-"
_PREFIX = "shipit-pg-"
_PATIENCE = 15.0


def recover(data_dir: Path) -> None:
    """End orphaned server processes; remove a stale pid file, an interrupted initdb and temporary folders."""
    cluster = data_dir / "cluster"
    end_processes(cluster, (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL))
    # The pid in it may meanwhile belong to somebody else (always so after a container's restart), and the
    # server would then refuse to start.
    (cluster / "postmaster.pid").unlink(missing_ok=True)
    for fresh in data_dir.glob(UNFINISHED + "*"):
        _remove(fresh)
    for place in _recorded(data_dir):
        shutil.rmtree(place, ignore_errors=True)
    (data_dir / "places").unlink(missing_ok=True)


def end_processes(cluster: Path, signals: Iterable[signal.Signals]) -> None:
    """Send each signal in turn to the server that works in `cluster`, until none of its processes is left.

    Raises Unavailable when one survives the last.
    """
    for each in signals:
        pids = _working_in(cluster)
        if not pids:
            return
        main = _recorded_pid(cluster)
        # A polite request goes to the server alone, which then ends its children in order.
        for pid in [main] if each is signal.SIGINT and main in pids else pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, each)
        deadline = time.monotonic() + _PATIENCE
        while _working_in(cluster) and time.monotonic() < deadline:
            time.sleep(0.02)
    left = _working_in(cluster)
    if left:
        raise Unavailable("database", f"processes {left} of an earlier run do not end; end them by hand")


def _remove(fresh: Path) -> None:
    """Remove an unfinished cluster; whoever still writes into it is being ended, so files may reappear."""
    deadline = time.monotonic() + _PATIENCE
    while fresh.exists() and time.monotonic() < deadline:
        for pid in _working_in(fresh):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(fresh, ignore_errors=True)
        time.sleep(0.01)


def borrow(data_dir: Path, borrowed: contextlib.ExitStack, parent: Path, *, mode: int) -> Path:
    """A new folder below `parent`, removed when `borrowed` closes, or by the next run if we are killed."""
    place = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    borrowed.callback(shutil.rmtree, place, ignore_errors=True)
    place.chmod(mode)
    (data_dir / "places").write_text(json.dumps([*map(str, _recorded(data_dir)), str(place)]))
    return place


def temporary_folders() -> list[Path]:
    """Where temporary folders may go, preferred first: what the environment says, then what is usual."""
    usual = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]
    return [each for each in dict.fromkeys(usual) if os.access(each, os.W_OK)]


def give(folder: Path, uid: int, gid: int) -> None:
    """Make sure that `folder` and all in it belong to `uid`; an earlier run may have run as somebody else."""
    try:
        owner = folder.lstat().st_uid
    except FileNotFoundError:
        return
    if owner == uid:
        return
    if os.geteuid() != 0:
        raise Unavailable("database", f"{folder} belongs to user {owner}, not to us ({os.geteuid()})")
    for place, folders, files in os.walk(folder, topdown=False):
        for name in [*folders, *files]:
            os.chown(os.path.join(place, name), uid, gid, follow_symlinks=False)
    # The folder itself last: an interrupted change is then done again.
    os.chown(folder, uid, gid, follow_symlinks=False)


def _recorded(data_dir: Path) -> list[Path]:
    """Temporary folders of an earlier run that are still there and certainly ours."""
    try:
        names = json.loads((data_dir / "places").read_text())
    except (FileNotFoundError, ValueError):
        return []
    places = [Path(name) for name in names if isinstance(name, str)]
    return [place for place in places if place.name.startswith(_PREFIX) and _is_folder(place)]


def _is_folder(place: Path) -> bool:
    try:
        return stat.S_ISDIR(place.lstat().st_mode)
    except OSError:
        return False


def _recorded_pid(cluster: Path) -> int:
    try:
        return int((cluster / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return 0


def _working_in(cluster: Path) -> list[int]:
    """The server's processes: named postgres and working in the cluster (so not somebody's shell)."""
    try:
        wanted = cluster.stat()
    except FileNotFoundError:
        return []
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            place = (entry / "cwd").stat()
            name = (entry / "comm").read_text().strip()
        except OSError:
            continue
        if name == "postgres" and (place.st_dev, place.st_ino) == (wanted.st_dev, wanted.st_ino):
            found.append(int(entry.name))
    return found
