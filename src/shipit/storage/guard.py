# SPDX-License-Identifier: MPL-2.0
"""Start a command that does not outlive us, however we end."""

from __future__ import annotations

import subprocess
from typing import BinaryIO

from shipit.storage.account import Account, environment

STOP_SECONDS = 30

# The command's parent is this shell, whose standard input is a pipe held by us. Whatever ends us (kill -9
# too) closes the pipe, and the shell then ends the command. Unlike the kernel's parent-death signal this
# depends neither on the thread that started it nor on which identity the server took. It asks again each
# second, for a server that has only just begun is deaf.
_GUARD = """
exec 3<&0 </dev/null
"$@" 3<&- &
server=$!
{ read -r _ <&3; while kill -INT "$server"; do sleep 1; done; } 2>/dev/null &
watch=$!
wait "$server"
code=$?
kill "$watch" 2>/dev/null
exit "$code"
"""


def start(
    command: list[str], account: Account, output: BinaryIO, descriptors: tuple[int, ...]
) -> subprocess.Popen[bytes]:
    """Run `command` as `account`, with `descriptors` open; it ends when `release` is called or we die."""
    # A session of its own: Ctrl-C on the terminal is for us; we stop the server when we are done with it.
    return subprocess.Popen(
        [*account.prefix, "/bin/sh", "-c", _GUARD, "shipit-postgres", *command],
        cwd="/",
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=descriptors,
        **account.identity,
    )


def release(process: subprocess.Popen[bytes]) -> None:
    """End it with SIGINT and wait; raises subprocess.TimeoutExpired after STOP_SECONDS."""
    assert process.stdin is not None
    process.stdin.close()
    process.wait(STOP_SECONDS)
