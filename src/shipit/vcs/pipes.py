# SPDX-License-Identifier: MPL-2.0
"""Talk with one git process for many questions: merges that depend on each other, and contents of files."""

from __future__ import annotations

import asyncio
import os
import tempfile
import zlib
from collections.abc import Sequence
from types import TracebackType
from typing import BinaryIO

from shipit.errors import CommandFailed
from shipit.merge.store import Merge, Merged
from shipit.vcs.answers import Unreadable, read_answers
from shipit.vcs.git import command, end_group, environment
from shipit.vcs.packs import object_id
from shipit.vcs.shadow import Shadow

ANSWER_SECONDS = 60.0
LARGEST_ANSWER = 64 << 20

_COMMIT = "tree %s\n%sauthor - <-> 1 +0000\ncommitter - <-> 1 +0000\n\n"
# A merge whose answer (some seven times the name) is longer than the buffer of stdio on a pipe: git 2.39
# says nothing until its buffer is full. A longer one would only be more to read.
_LONG_NAME = b"x" * 1200
# Names of contents that fit into a pipe together.
_ASKED_AT_ONCE = 100


class _Process:
    """One git process with its pipes; restarted when it died."""

    def __init__(self, shadow: Shadow, *args: str) -> None:
        self._argv = command(shadow.path, *args)
        self._process: asyncio.subprocess.Process | None = None
        self._stderr: BinaryIO | None = None
        self._heard = 0

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        await self.stop()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as its process
        self._heard = 0
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=self._stderr,
                env=environment(),
                start_new_session=True,
                limit=1 << 20,
            )
        except OSError as error:
            raise CommandFailed(("git", *self._argv[-3:]), None, f"cannot start: {error}") from error

    async def stop(self) -> None:
        if self._process is not None:
            await end_group(self._process)
            self._process = None
        if self._stderr is not None:
            self._stderr.close()
            self._stderr = None

    def say(self, words: bytes) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(words)

    async def hear(self) -> bytes:
        """What it says next; raises EOFError at its end, TimeoutError when it is silent for too long."""
        assert self._process is not None and self._process.stdout is not None
        async with asyncio.timeout(ANSWER_SECONDS):
            chunk = await self._process.stdout.read(1 << 18)
        if not chunk:
            raise EOFError
        return chunk

    async def hear_exactly(self, size: int) -> bytes:
        assert self._process is not None and self._process.stdout is not None
        async with asyncio.timeout(ANSWER_SECONDS):
            return await self._process.stdout.readexactly(size)

    async def hear_line(self) -> bytes:
        assert self._process is not None and self._process.stdout is not None
        async with asyncio.timeout(ANSWER_SECONDS):
            return await self._process.stdout.readuntil(b"\n")

    def complaint(self) -> str:
        """What it newly complained of, at most 500 characters."""
        if self._stderr is None:
            return ""
        size = os.fstat(self._stderr.fileno()).st_size
        if size == self._heard:
            return ""
        words = os.pread(self._stderr.fileno(), 1 << 16, self._heard)
        self._heard = size
        return words.decode("utf-8", "replace").strip()[-500:]


class MergePipe:
    """Merges one after the other in one process, also with a git that answers no pipe by itself (2.39).

    Each merge is followed by one that fills git's buffer: it pushes the answer out, and marks its end.
    """

    def __init__(self, shadow: Shadow, *, trees: bool) -> None:
        """trees: whether this git takes bare trees (see `shipit.vcs.merging.accepts_trees`)."""
        self._shadow = shadow
        self._trees = trees
        self._process = _Process(shadow, "merge-tree", "--write-tree", "-z", "--stdin")
        self._busy = asyncio.Lock()
        self._written: set[str] = set()
        self._folders: set[str] = set()
        self._filler = b""
        self._filled = b""
        self._left = 0
        self.merges = 0

    async def __aenter__(self) -> MergePipe:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._process.stop()

    @property
    def pid(self) -> int | None:
        """The process that merges, to measure it; None when none runs."""
        return self._process.pid

    async def merge(self, merge: Merge) -> Merged:
        """What became of a merge. Never raises for what it cannot do."""
        async with self._busy:
            self.merges += 1
            try:
                if not self._process.is_running:
                    await self._start()
                return await self._ask(merge)
            except (EOFError, ConnectionError, Unreadable, CommandFailed) as error:
                reason = f"git could not merge: {self._process.complaint() or error or 'it ended'}"
            except TimeoutError:
                reason = f"the merge hung for {ANSWER_SECONDS:g} s"
            except OSError as error:
                reason = f"cannot write to the scratch folder: {error.strerror}"
            except asyncio.CancelledError:
                # its answer would be taken for that of the next merge
                await self._process.stop()
                raise
            await self._process.stop()
            return Merged(reason=reason)

    async def _ask(self, merge: Merge) -> Merged:
        self._process.say(self._line(merge) + self._filler)
        heard = b""
        while True:
            heard += await self._process.hear()
            if len(heard) > LARGEST_ANSWER + self._left:
                raise Unreadable("too long")
            # The marker may come in two pieces: it is looked for once it can be there whole.
            if (end := heard.find(self._filled[:64], self._left)) >= 0:
                break
        answer = heard[self._left : end]
        self._left = len(self._filled) - (len(heard) - end)
        if complaint := self._process.complaint():
            # git 2.39 takes a tree that it cannot read for an empty one, complains and goes on.
            raise Unreadable(complaint)
        answers = read_answers(answer)
        if len(answers) != 1:
            raise Unreadable(f"{len(answers)} answers to one merge")
        return answers[0]

    async def _start(self) -> None:
        self._left = 0
        if not self._filled:
            await self._learn_filler()
        await self._process.start()

    async def _learn_filler(self) -> None:
        """Write the filling merge, and learn what git says of it."""
        blobs = [self._write("blob", word) for word in (b"1\n", b"2\n", b"3\n")]
        trees = [self._write("tree", b"100644 " + _LONG_NAME + b"\0" + bytes.fromhex(blob)) for blob in blobs]
        self._filler = self._line(Merge(*trees))
        answer = await self._shadow.git("merge-tree", "--write-tree", "-z", "--stdin", stdin=self._filler)
        self._filled = answer.stdout

    def _line(self, merge: Merge) -> bytes:
        if self._trees:
            return f"{merge.base} -- {merge.ours} {merge.theirs}\n".encode()
        base = self._commit(merge.base)
        return f"{self._commit(merge.ours, base)} {self._commit(merge.theirs, base)}\n".encode()

    def _commit(self, tree: str, parent: str | None = None) -> str:
        return self._write("commit", (_COMMIT % (tree, f"parent {parent}\n" if parent else "")).encode())

    def _write(self, kind: str, content: bytes) -> str:
        """Write a loose object: a running git finds it without reading its packs anew."""
        name = object_id(kind, content, hash_name=self._shadow.hash_name)
        if name not in self._written:
            folder = os.path.join(self._shadow.objects, name[:2])
            if name[:2] not in self._folders:
                os.makedirs(folder, exist_ok=True)
                self._folders.add(name[:2])
            # nobody asks for the object before it is whole: no draft is needed
            file = os.open(os.path.join(folder, name[2:]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o444)
            try:
                os.write(file, zlib.compress(b"%s %d\0" % (kind.encode(), len(content)) + content, 1))
            finally:
                os.close(file)
            self._written.add(name)
        return name


class BlobPipe:
    """Contents of files by id, from one process."""

    def __init__(self, shadow: Shadow, *, largest: int = 8 << 20) -> None:
        """largest: bytes of a content beyond which it is not answered."""
        self._process = _Process(shadow, "cat-file", "--batch")
        self._busy = asyncio.Lock()
        self._largest = largest
        self._kind = b"blob"

    async def __aenter__(self) -> BlobPipe:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._process.stop()

    @property
    def pid(self) -> int | None:
        """The process that reads, to measure it; None when none runs."""
        return self._process.pid

    async def read(self, names: Sequence[str], *, kind: bytes = b"blob") -> list[bytes | None]:
        """The content that each name leads to; None where it is not there, of no such kind, or too large."""
        async with self._busy:
            self._kind = kind
            try:
                if 1 < len(names) <= _ASKED_AT_ONCE:
                    found = await self._read_together(names)
                    if found is not None:
                        return found
                return [await self._read(name) for name in names]
            except asyncio.CancelledError:
                # its answer would be taken for the next content
                await self._process.stop()
                raise

    async def _read_together(self, names: Sequence[str]) -> list[bytes | None] | None:
        """All with one question; None when one of them ends the process or is too large."""
        try:
            await self._ask(names)
            return [await self._hear() for _ in names]
        except (EOFError, ConnectionError, CommandFailed, TimeoutError, _TooLarge):
            await self._process.stop()
            return None

    async def _read(self, name: str) -> bytes | None:
        try:
            await self._ask([name])
            return await self._hear()
        except (EOFError, ConnectionError, CommandFailed, TimeoutError, _TooLarge):
            await self._process.stop()
            return None

    async def _ask(self, names: Sequence[str]) -> None:
        if not self._process.is_running:
            await self._process.start()
        self._process.say(b"".join(name.encode("utf-8", "surrogateescape") + b"\n" for name in names))

    async def _hear(self) -> bytes | None:
        words = (await self._process.hear_line()).split()
        if words[-1] in (b"missing", b"ambiguous") or len(words) != 3:
            return None
        size = int(words[2])
        if size > self._largest:
            raise _TooLarge
        content = await self._process.hear_exactly(size + 1)
        return content[:-1] if words[1] == self._kind else None


class _TooLarge(Exception):
    """A content is larger than anybody wants to read."""
