# SPDX-License-Identifier: MPL-2.0
"""The one door to the git process: nothing of the user's or the clone's configuration may run anything."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from shipit.errors import CommandFailed

LOCAL_TIMEOUT = 120.0
LARGEST_ANSWER = 1 << 30

# What a hostile or merely personal configuration could run, switched off for every command.
_NEUTRAL = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.pager=cat",
    "core.editor=false",
    "core.askPass=false",
    "core.gitProxy=",
    "core.alternateRefsCommand=",
    "credential.helper=",
    "protocol.ext.allow=never",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "gc.auto=0",
    "gc.autoDetach=false",
    "maintenance.auto=false",
    "log.showSignature=false",
    "safe.directory=*",
)
# Only what a process needs to find programs, folders, a proxy and certificates.
_KEPT = (
    "PATH",
    "HOME",
    "TMPDIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "SSH_AUTH_SOCK",
)


class GitAnswer(msgspec.Struct, frozen=True):
    """What a git process said. code: exit code, negative when a signal ended it; None when it timed out."""

    code: int | None
    stdout: bytes
    stderr: bytes

    @property
    def complaint(self) -> str:
        """The end of what it said on stderr, as text of at most 500 characters."""
        return self.stderr.decode("utf-8", "replace").strip()[-500:]


def kept_environment(*more: str) -> dict[str, str]:
    """What any process of ours keeps of our own environment, and what it alone needs."""
    return {name: os.environ[name] for name in (*_KEPT, *more) if name in os.environ}


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The whole environment of a git process: no user or system configuration, no prompt, no lazy fetch."""
    return {
        **kept_environment("GIT_SSL_CAINFO"),
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "false",
        "GIT_SSH_COMMAND": "ssh -oBatchMode=yes -oConnectTimeout=30",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_PAGER": "cat",
        "GIT_ADVICE": "0",
        "GIT_AUTHOR_NAME": "Ship It",
        "GIT_AUTHOR_EMAIL": "shipit@localhost",
        "GIT_COMMITTER_NAME": "Ship It",
        "GIT_COMMITTER_EMAIL": "shipit@localhost",
        **(extra or {}),
    }


def command(repo: Path | None, *args: str) -> tuple[str, ...]:
    """The full argv of a git command on the git directory (or work tree) `repo`."""
    neutral = [word for setting in _NEUTRAL for word in ("-c", setting)]
    place = ["-C", str(repo)] if repo is not None else []
    return ("git", "--no-pager", *neutral, *place, *args)


async def git(
    repo: Path | None,
    *args: str,
    stdin: bytes | None = None,
    timeout: float = LOCAL_TIMEOUT,  # noqa: ASYNC109 - on timeout the process group must die too
    check: bool = True,
    env: Mapping[str, str] | None = None,
    largest: int = LARGEST_ANSWER,
    heard: Callable[[bytes], None] | None = None,
) -> GitAnswer:
    """Run one git command to its end.

    repo: folder to run in (a `Shadow` of a clone, or a clone we made); None: no repository. stdin: all of
    its input. timeout: seconds, then the whole process group is killed. largest: bytes of stdout after which
    it is killed. heard: gets its stderr at once, in pieces. check: raise CommandFailed unless it exits with
    0; without it a timeout answers code None and what was read so far.
    Raises CommandFailed when git cannot be started at all, or says more than `largest`.
    """
    argv = command(repo, *args)
    words = ("git", *args)
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE if stdin is not None else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment(env),
            start_new_session=True,
        )
    except OSError as error:
        raise CommandFailed(words, None, f"cannot start: {error}") from error
    stdout, stderr = bytearray(), bytearray()
    timed_out = False
    try:
        async with asyncio.timeout(timeout):
            await asyncio.gather(
                _feed(process, stdin),
                _drain(process.stdout, stdout, largest),
                _drain(process.stderr, stderr, 1 << 20, spill=True, heard=heard),
            )
            await process.wait()
    except TimeoutError:
        timed_out = True
    except _TooMuch as error:
        raise CommandFailed(words, None, f"said more than {largest} bytes") from error
    finally:
        await end_group(process)
    if timed_out:
        stderr += f"\ntimed out after {timeout:g} s".encode()
    answer = GitAnswer(None if timed_out else process.returncode, bytes(stdout), bytes(stderr))
    if check and answer.code != 0:
        raise CommandFailed(words, answer.code, answer.stderr.decode("utf-8", "replace"))
    return answer


class _TooMuch(Exception):
    """The process says more than we are ready to hold."""


async def _feed(process: asyncio.subprocess.Process, stdin: bytes | None) -> None:
    if stdin is None or process.stdin is None:
        return
    # A process may end before it has read all: then its exit code tells the story, not the pipe.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(stdin)
        await process.stdin.drain()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.close()
        await process.stdin.wait_closed()


async def _drain(
    stream: asyncio.StreamReader | None,
    into: bytearray,
    largest: int,
    *,
    spill: bool = False,
    heard: Callable[[bytes], None] | None = None,
) -> None:
    assert stream is not None
    while chunk := await stream.read(1 << 18):
        if heard is not None:
            heard(chunk)
        if len(into) + len(chunk) > largest:
            if not spill:
                raise _TooMuch
            continue
        into += chunk


async def end_group(process: asyncio.subprocess.Process) -> None:
    """Kill what is left of a process group that we started (a helper may outlive git), and reap git."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    # Pipes that we stopped reading never end by themselves, and older Pythons wait for them with the process.
    # Closing the whole transport here would reap the process behind the loop's back.
    for number in (0, 1, 2):
        pipe = process._transport.get_pipe_transport(number)  # type: ignore[attr-defined]
        if pipe is not None:
            pipe.close()
    await process.wait()
    process._transport.close()  # type: ignore[attr-defined]
