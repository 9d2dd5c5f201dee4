# SPDX-License-Identifier: GPL-2.0-or-later
"""Mercurial extension that merges in memory for Ship It: no working copy, no transaction, nothing written.

One question writes: "land" commits a landing plan above a changeset, with a new bookmark.

This file imports Mercurial and is therefore distributed under the GNU General Public License, version 2 or
any later version (see the LICENSE beside it). It is loaded by `hg serve --cmdserver pipe`, which gains a
command "shipittrials": a request is one JSON object, the answers are JSON objects on the result channel, the
last one with "end". Bytes travel as Latin-1 text, contents as base64.

A tree is named by its manifest, or, when a merge made it, by a hash of the manifest it stands on and of what
differs from it, each file by its flag and the hash that git would give its content.
"""

from __future__ import annotations

import base64
import collections
import hashlib
import json
import os
import re
import struct
import zlib

from mercurial import (
    commandserver,
    context,
    error,
    hg,
    mdiff,
    patch,
    policy,
    registrar,
    scmutil,
    simplemerge,
    util,
    vfs,
)
from mercurial.node import bin as to_bin
from mercurial.node import hex as to_hex
from mercurial.node import nullid, nullrev, wdirid

testedwith = b"7.2.4"
cmdtable = {}
command = registrar.command(cmdtable)

XDIFF = getattr(policy.importmod("bdiff"), "xdiffblocks", None)
LARGEST_FILE = 64 << 20
CACHED_BYTES = 32 << 20
CACHED_MANIFEST_LINES = 450_000
MOST_FILELOGS = 256
MOST_SAMPLES = 64
MOST_PAIRS = 2500
MOST_NAME_REVISIONS = 20_000
MOST_VERSIONS = 400
MOST_PATCH_IDS = 400
MODES = {b"": "100644", b"x": "100755", b"l": "120000"}
FLAGS = {"100644": b"", "100755": b"x", "120000": b"l"}
FOLDER = "40000"
# What reading damaged data has been seen to raise; one bad file must not end the server.
UNREADABLE = (
    error.StorageError,
    error.Abort,
    error.ProgrammingError,
    error.WdirUnsupported,
    ArithmeticError,
    AssertionError,
    AttributeError,
    OSError,
    ValueError,
    IndexError,
    KeyError,
    MemoryError,
    RecursionError,
    TypeError,
    struct.error,
    zlib.error,
)
_BACKOUT = re.compile(rb"revert|back(ed|ing|s)?[ -]?out", re.IGNORECASE)


class Refused(Exception):
    """What we do not try; the message says why."""


def text(raw):
    """Bytes for people."""
    return raw.decode("utf-8", "backslashreplace")


def told(raw):
    """Bytes as they travel."""
    return raw.decode("latin-1")


def heard(word):
    """Bytes as they were sent."""
    return word.encode("latin-1")


def why(failure):
    """The reason of a failure, in one bounded line."""
    words = text(failure.__bytes__() if hasattr(failure, "__bytes__") else str(failure).encode())
    return (words or type(failure).__name__).strip()[:500]


class Entry:
    """A file of a tree: a revision of a filelog, or content of ours known by its hash."""

    __slots__ = ("blob", "copied", "flag", "node", "path")

    def __init__(self, flag, *, path=None, node=None, blob=None, copied=None):
        self.flag = flag
        self.path = path
        self.node = node
        self.blob = blob
        self.copied = copied


class Cache(collections.OrderedDict):
    """The newest things that fit. weigh: what one weighs."""

    def __init__(self, most, weigh=lambda _: 1):
        super().__init__()
        self._most, self._weigh, self._held = most, weigh, 0

    def keep(self, key, value):
        if key in self:
            return self[key]
        self[key] = value
        self._held += self._weigh(value)
        while self._held > self._most and len(self) > 1:
            _, old = self.popitem(last=False)
            self._held -= self._weigh(old)
        return value

    def again(self, key):
        value = self.get(key)
        if value is not None:
            self.move_to_end(key)
        return value


class Tree:
    """A manifest with changes upon it; None in `over` takes a file away."""

    def __init__(self, store, name, root, over):
        self._store = store
        self.name = name
        self.root = root
        self.over = over

    def get(self, path):
        if path in self.over:
            return self.over[path]
        return self._store.entry(self.root, path)

    def has_folder(self, folder):
        """Whether any file is below a folder."""
        start = folder + b"/"
        if any(entry is not None and path.startswith(start) for path, entry in self.over.items()):
            return True
        manifest = self._store.manifest(self.root)
        if not manifest.hasdir(folder):
            return False
        gone = {path for path, entry in self.over.items() if entry is None and path.startswith(start)}
        return not gone or any(path not in gone for path in self.below(folder))

    def below(self, folder):
        """The files below a folder."""
        start = folder + b"/"
        for path in self._store.manifest(self.root):
            if path.startswith(start) and self.over.get(path, path) is not None:
                yield path
        for path, entry in self.over.items():
            if entry is not None and path.startswith(start) and not self._store.entry(self.root, path):
                yield path


class Store:
    """The repository and what was read of it."""

    def __init__(self, repo):
        repo = repo.unfiltered()
        for name in ("vfs", "svfs", "cachevfs", "wcachevfs"):
            setattr(repo, name, vfs.readonlyvfs(getattr(repo, name)))
        self.repo = repo
        self.scratch = None
        self._stamp = None
        self._forget()

    def _forget(self):
        self._manifests = Cache(CACHED_MANIFEST_LINES, len)
        self._filelogs = Cache(MOST_FILELOGS)
        self._contents = Cache(CACHED_BYTES, lambda content: len(content) + 100)
        self._blobs = Cache(100_000)
        self._names = Cache(2_000)
        self._added = Cache(16)
        self._trees = Cache(2_000)
        self._touched = Cache(5_000)
        self._backouts = {}
        self.patches = Cache(100_000, lambda found: len(found) + 1)

    def refresh(self):
        """See what others have written since. Trees of ours stay in the scratch folder."""
        stamp = []
        for name in (b"00changelog.i", b"00manifest.i", b"../bookmarks", b"../shipit-tips"):
            try:
                found = os.stat(self.repo.svfs.join(name))
                stamp.append((found.st_mtime_ns, found.st_size, found.st_ino))
            except OSError:
                stamp.append(None)
        if stamp != self._stamp:
            self._stamp = stamp
            self.repo.invalidate(clearfilecache=True)
            self._forget()

    # -- reading ------------------------------------------------------------------------------------------

    def manifest(self, node):
        found = self._manifests.again(node)
        if found is None:
            found = self._manifests.keep(node, self.repo.manifestlog[node].read())
        return found

    def entry(self, root, path):
        if root == nullid:
            return None
        try:
            node, flag = self.manifest(root).find(path)
        except KeyError:
            return None
        return Entry(flag, path=path, node=node)

    def filelog(self, path):
        return self._filelogs.again(path) or self._filelogs.keep(path, self.repo.file(path))

    def content(self, entry):
        key = entry.blob if entry.node is None else (entry.path, entry.node)
        found = self._contents.again(key)
        if found is None:
            if entry.node is None:
                with open(os.path.join(self.scratch, "blobs", entry.blob), "rb") as handle:
                    found = handle.read()
            else:
                log = self.filelog(entry.path)
                if log.size(log.rev(entry.node)) > LARGEST_FILE:
                    raise Refused(f"{text(entry.path)} has more than {LARGEST_FILE} bytes")
                found = log.read(entry.node)
            self._contents.keep(key, found)
        return found

    def blob(self, entry):
        """The hash that git gives the content."""
        if entry.blob is None:
            key = (entry.path, entry.node)
            entry.blob = self._blobs.again(key) or self._blobs.keep(key, blob_hash(self.content(entry)))
        return entry.blob

    def same(self, one, other):
        if one is None or other is None:
            return one is other
        return one.flag == other.flag and self.same_content(one, other)

    def same_content(self, one, other):
        if one.node is not None and one.node == other.node and one.path == other.path:
            return True
        return self.blob(one) == self.blob(other)

    def copied_from(self, entry):
        """The path that a file was copied or moved from when this version of it was made."""
        if entry is None or entry.node is None:
            return entry.copied if entry is not None else None
        found = self.filelog(entry.path).renamed(entry.node)
        return found[0] if found else None

    def names_before(self, path, node):
        """Every name that this version of a file had before, by the copies its history records."""
        known = self._names.again((path, node))
        if known is not None:
            return known
        found, waiting, seen = [], [(path, node)], set()
        while waiting and len(seen) < MOST_SAMPLES:
            name, at = waiting.pop()
            if (name, at) in seen:
                continue
            seen.add((name, at))
            log = self.filelog(name)
            revs = [log.rev(at)]
            met = set(revs)
            while revs and len(met) < MOST_NAME_REVISIONS:
                rev = revs.pop()
                source = log.renamed(log.node(rev))
                if source:
                    if source[0] not in found:
                        found.append(source[0])
                    waiting.append(source)
                for parent in log.parentrevs(rev):
                    if parent != nullrev and parent not in met:
                        met.add(parent)
                        revs.append(parent)
        return self._names.keep((path, node), found)

    # -- trees --------------------------------------------------------------------------------------------

    def tree(self, name):
        found = self._trees.again(name)
        if found is not None:
            return found
        file = os.path.join(self.scratch, "trees", name)
        if self.scratch is not None and os.path.exists(file):
            with open(file, encoding="ascii") as handle:
                kept = json.load(handle)
            over = {heard(path): self._kept_entry(row) for path, row in kept["over"]}
            found = Tree(self, name, to_bin(kept["root"]), over)
        else:
            root = to_bin(name.encode("ascii"))
            if root != nullid:
                self.repo.manifestlog.getstorage(b"").rev(root)
            found = Tree(self, name, root, {})
        return self._trees.keep(name, found)

    def _kept_entry(self, row):
        if row is None:
            return None
        flag, path, node, blob, copied = row
        return Entry(
            heard(flag),
            path=None if path is None else heard(path),
            node=None if node is None else to_bin(node),
            blob=blob,
            copied=None if copied is None else heard(copied),
        )

    def changed_tree(self, upon, changes):
        """The tree that `changes` make of another one, kept in the scratch folder."""
        over = dict(upon.over)
        over.update(changes)
        over = {path: one for path, one in over.items() if not self.same(one, self.entry(upon.root, path))}
        name = tree_name(
            to_hex(upon.root), {path: one and (one.flag, self.blob(one)) for path, one in over.items()}
        )
        if over and name not in self._trees:
            rows = [
                (
                    told(path),
                    one
                    and (
                        told(one.flag),
                        one.path and told(one.path),
                        one.node and told(to_hex(one.node)),
                        one.blob,
                        one.copied and told(one.copied),
                    ),
                )
                for path, one in over.items()
            ]
            kept = json.dumps({"root": told(to_hex(upon.root)), "over": rows})
            self._write("trees", name, kept.encode("ascii"))
        return self._trees.keep(name, Tree(self, name, upon.root, over))

    def new_content(self, content, flag, copied=None):
        name = blob_hash(content)
        self._write("blobs", name, content)
        return Entry(flag, blob=name, copied=copied)

    def _write(self, folder, name, content):
        file = os.path.join(self.scratch, folder, name)
        if os.path.exists(file):
            return
        half = f"{file}.{os.getpid()}"
        with open(half, "wb") as handle:
            handle.write(content)
        os.replace(half, file)

    def touched(self, one, other):
        """The paths that may differ between two manifests."""
        key = (one, other)
        found = self._touched.again(key)
        if found is None:
            found = self._change_of(one, other) or self._change_of(other, one)
            if found is None:
                empty = self.repo.manifestlog[nullid].read()
                first = empty if one == nullid else self.manifest(one)
                second = empty if other == nullid else self.manifest(other)
                found = tuple(first.diff(second))
            self._touched.keep(key, found)
        return found

    def _change_of(self, before, after):
        """What the changeset that made a manifest of its parent's says that it touches."""
        if nullid in (before, after):
            return None
        storage = self.repo.manifestlog.getstorage(b"")
        made = self.repo[storage.linkrev(storage.rev(after))]
        if made.manifestnode() != after or made.p2().rev() != nullrev:
            return None
        return tuple(made.files()) if made.p1().manifestnode() == before else None

    def changeset_of(self, root):
        """The revision of the first changeset that has a manifest; None when that is not told."""
        if root == nullid:
            return None
        storage = self.repo.manifestlog.getstorage(b"")
        rev = storage.linkrev(storage.rev(root))
        return rev if self.repo[rev].manifestnode() == root else None

    def added_since(self, base, ours):
        """The files that changesets of `ours` since `base` added: path to the names they had before."""
        key = (base.root, ours.root)
        found = self._added.again(key)
        if found is None:
            found = {}
            low, high = self.changeset_of(base.root), self.changeset_of(ours.root)
            if low is not None and high is not None:
                log = self.repo.changelog
                for rev in log.findmissingrevs([low], [high])[-MOST_NAME_REVISIONS:]:
                    for path in self.repo[rev].files():
                        found[path] = None
                found = {
                    path: self.names_before(path, entry.node)
                    for path in found
                    if (entry := self.entry(ours.root, path)) and self.entry(base.root, path) is None
                }
            self._added.keep(key, found)
        return found

    def is_backout(self, rev):
        """Whether a changeset may be a backout, by its words; each is read once."""
        if rev not in self._backouts:
            self._backouts[rev] = bool(_BACKOUT.search(self.repo[rev].description()))
        return self._backouts[rev]

    def only_in(self, one, other):
        """The files of one manifest that another one has not."""
        if one == nullid:
            return set()
        if other == nullid:
            return set(self.manifest(one))
        key = ("only", one, other)
        return self._added.again(key) or self._added.keep(
            key, self.manifest(one).filesnotin(self.manifest(other))
        )


def blob_hash(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def tree_name(root, over):
    """The name of a tree: see this module's first words."""
    if not over:
        return root.decode("ascii")
    digest = hashlib.sha1(root + b"\n")
    for path in sorted(over):
        one = over[path]
        words = b"-" if one is None else b"%s %s" % (one[0], one[1].encode("ascii"))
        digest.update(words + b"\t" + path + b"\0")
    return digest.hexdigest()


def folders_above(path):
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        yield path


def likeness(one, other):
    """The share of the larger content that is in both, line by line."""
    if not one or not other or min(len(one), len(other)) * 2 < max(len(one), len(other)):
        return 0.0
    lines = mdiff.splitnewlines(other)
    same = sum(len(line) for block in mdiff.blocks(one, other) for line in lines[block[2] : block[3]])
    return same / max(len(one), len(other))


def is_binary(content):
    return b"\0" in content[:8000]


class Merging:
    """One merge: what changed from base to theirs, upon ours."""

    def __init__(self, store, base, ours, theirs):
        self.store, self.base, self.ours, self.theirs = store, base, ours, theirs
        self.changes = {}
        # path -> (kind in the words of git's merge, sides: (stage, entry))
        self.conflicts = {}

    def run(self):
        patch_paths = self._patch()
        gone = [path for path, (old, new) in patch_paths.items() if new is None]
        added = [path for path, (old, new) in patch_paths.items() if old is None]
        moves = self._moves(patch_paths, gone, added) if gone and added else {}
        arrived = set(moves.values())
        for path, (old, new) in patch_paths.items():
            if old is None:
                if path not in arrived:
                    self._add(path, new)
            elif path in moves:
                self._change(path, old, moves[path], patch_paths[moves[path]][1])
            elif new is None:
                self._remove(path, old)
            else:
                self._change(path, old, path, new)
        self._check_places()
        if moves:
            self._check_moved_folders(moves)
        return self

    def _patch(self):
        """What the patch changes: path to (old, new). Trees never change, so neither does this."""
        base, theirs, patches = self.base, self.theirs, self.store.patches
        found = patches.again((base.name, theirs.name))
        if found is None:
            paths = set(base.over) | set(theirs.over)
            if base.root != theirs.root:
                paths.update(self.store.touched(base.root, theirs.root))
            found = {}
            for path in sorted(paths):
                old, new = base.get(path), theirs.get(path)
                if not self.store.same(old, new):
                    found[path] = (old, new)
            patches.keep((base.name, theirs.name), found)
        return found

    def _moves(self, patch_paths, gone, added):
        """Which files the patch moved: as recorded, in either direction, else by likeness."""
        store = self.store
        moves, arrived = {}, set()
        for path in added:
            source = store.copied_from(patch_paths[path][1])
            if source in patch_paths and patch_paths[source][1] is None and source not in moves:
                moves[source] = path
                arrived.add(path)
        for path in gone:
            if path in moves:
                continue
            target = store.copied_from(patch_paths[path][0])
            if target in patch_paths and patch_paths[target][0] is None and target not in arrived:
                moves[path] = target
                arrived.add(target)
        left = [path for path in gone if path not in moves]
        free = [path for path in added if path not in arrived]
        if left and free and len(left) * len(free) <= MOST_PAIRS:
            scored = []
            for path in left:
                for other in free:
                    score = self._alike(patch_paths[path][0], patch_paths[other][1])
                    if score >= 0.5:
                        named_same = path.rpartition(b"/")[2] == other.rpartition(b"/")[2]
                        scored.append((-score, not named_same, path, other))
            for _, _, path, other in sorted(scored):
                if path not in moves and other not in arrived:
                    moves[path] = other
                    arrived.add(other)
        return moves

    def _alike(self, one, other):
        if (one.flag == b"l") != (other.flag == b"l"):
            return 0.0
        if self.store.same_content(one, other):
            return 1.0
        return likeness(self.store.content(one), self.store.content(other))

    def _whereabouts(self, path, old):
        """The name on the tip's side of a file of the base that is not there under its own."""
        store, base, ours = self.store, self.base, self.ours
        if old.node is not None:
            for name in store.names_before(path, old.node):
                if base.get(name) is None and ours.get(name) is not None:
                    return name
        for target, names in store.added_since(base, ours).items():
            if path in names and ours.get(target) is not None:
                return target
        for target, entry in ours.over.items():
            if entry is not None and entry.copied == path and base.get(target) is None:
                return target
        return self._lookalike(path, old)

    def _lookalike(self, path, old):
        """A file of the same name, elsewhere, that only the tip's side has and that is mostly the same."""
        last = b"/" + path.rpartition(b"/")[2]
        best, found = 0.5, None
        for other in sorted(self.store.only_in(self.ours.root, self.base.root)):
            if not (b"/" + other).endswith(last) or self.base.get(other) is not None:
                continue
            entry = self.ours.get(other)
            if entry is None:
                continue
            score = self._alike(old, entry)
            if score > best or (score >= best and found is None):
                best, found = score, other
        return found

    # -- one path -----------------------------------------------------------------------------------------

    def _conflict(self, path, kind, old=None, mine=None, new=None):
        sides = [(stage, side) for stage, side in ((1, old), (2, mine), (3, new)) if side is not None]
        self.conflicts[path] = (kind, sides)
        self.changes.pop(path, None)

    def _remove(self, path, old):
        mine = self.ours.get(path)
        if mine is not None:
            if self.store.same(old, mine):
                self.changes[path] = None
            else:
                self._conflict(path, "modify/delete", old, mine, None)
            return
        there = self._whereabouts(path, old)
        if there is not None:
            self._conflict(there, "rename/delete", old, self.ours.get(there), None)

    def _change(self, path, old, target, new):
        """A file of the base that the patch changed, moved, or both."""
        there = path
        mine = self.ours.get(path)
        if mine is None:
            there = self._whereabouts(path, old)
            if there is None:
                self._conflict(target, "modify/delete" if target == path else "rename/delete", old, None, new)
                return
            mine = self.ours.get(there)
        place = target if there == path else there
        if target not in (path, there) and there != path:
            self._conflict(path, "rename/rename", old, None, None)
            self._conflict(there, "rename/rename", None, mine, None)
            self._conflict(target, "rename/rename", None, None, new)
            return
        merged, kind = self._merge_file(old, mine, new)
        if kind is not None:
            self._conflict(place, kind, old, mine, new)
            return
        if place != there:
            present = self.ours.get(place)
            if present is not None and not self.store.same(present, merged):
                self._conflict(place, "contents", None, present, merged)
                return
            self.changes[there] = None
            if self._suggests_folder(place, merged):
                return
        self.changes[place] = merged

    def _add(self, path, new):
        mine = self.ours.get(path)
        if mine is None:
            if not self._suggests_folder(path, new):
                self.changes[path] = new
        elif self.store.same(mine, new):
            return
        elif (mine.flag == b"l") != (new.flag == b"l"):
            self._conflict(path, "distinct types", None, mine, new)
        else:
            binary = is_binary(self.store.content(mine)) or is_binary(self.store.content(new))
            self._conflict(path, "binary" if binary else "contents", None, mine, new)

    def _suggests_folder(self, path, new):
        """Whether a new file's folder was moved away on the tip's side: a person has to say where it goes."""
        for folder in folders_above(path):
            if self.ours.has_folder(folder):
                return False
            if not self.base.has_folder(folder):
                continue
            votes = collections.Counter()
            for count, other in enumerate(self.base.below(folder)):
                if count >= MOST_SAMPLES:
                    break
                there = self._whereabouts(other, self.base.get(other))
                if there is not None:
                    votes[self._folder_in_place_of(folder, other, there)] += 1
            votes.pop(None, None)
            if votes:
                place = votes.most_common(1)[0][0]
                self._conflict(place + path[len(folder) :], "file location: renamed folder", None, None, new)
                return True
        return False

    def _folder_in_place_of(self, folder, path, there):
        """The folder that stands for another one when one of its files went from `path` to `there`."""
        rest = path[len(folder) :]
        if there.endswith(rest) and len(there) > len(rest):
            return there[: -len(rest)]
        name = there.rpartition(b"/")[0]
        return name or None

    def _merge_file(self, old, mine, new):
        """The merged entry, or the kind of conflict."""
        store = self.store
        if store.same(old, mine) or store.same(mine, new):
            return new if store.same(old, mine) else mine, None
        if store.same(old, new):
            return mine, None
        flag = merged_flag(old.flag, mine.flag, new.flag)
        if len({side.flag == b"l" for side in (old, mine, new)}) > 1:
            return None, "distinct types"
        if flag is None:
            return None, "distinct modes"
        if store.same_content(old, mine) or store.same_content(mine, new):
            return self._flagged(new if store.same_content(old, mine) else mine, flag), None
        if store.same_content(old, new):
            return self._flagged(mine, flag), None
        if flag == b"l":
            return None, "contents"
        before, here, there = (store.content(side) for side in (old, mine, new))
        if is_binary(before) or is_binary(here) or is_binary(there):
            return None, "binary"
        merged = merged_text(before, here, there)
        return (None, "contents") if merged is None else (store.new_content(merged, flag), None)

    def _flagged(self, entry, flag):
        if entry.flag == flag:
            return entry
        return Entry(flag, path=entry.path, node=entry.node, blob=entry.blob, copied=entry.copied)

    # -- all paths together -------------------------------------------------------------------------------

    def _check_places(self):
        """A file cannot stand where a folder is."""
        for path, entry in sorted(self.changes.items()):
            if entry is None or self.ours.get(path) is not None:
                continue
            for folder in folders_above(path):
                above = self.changes[folder] if folder in self.changes else self.ours.get(folder)
                if above is not None:
                    self._conflict(folder, "file/directory", None, above, None)
                    self._conflict(path, "file/directory", None, None, entry)
            if self.ours.has_folder(path) and any(
                self.changes.get(below, below) is not None for below in self.ours.below(path)
            ):
                self._conflict(path, "file/directory", None, None, entry)

    def _check_moved_folders(self, moves):
        """New files of the tip in a folder that the patch moved away as a whole."""
        for folder in sorted({folder for path in moves for folder in folders_above(path)}):
            if self.theirs.has_folder(folder) or not self.base.has_folder(folder):
                continue
            for path in list(self.ours.below(folder)):
                if self.base.get(path) is None and path not in self.changes:
                    self._conflict(path, "file location: renamed folder", None, self.ours.get(path), None)


def merged_flag(old, mine, new):
    if old == mine or mine == new:
        return new
    return mine if old == new else None


class LineMerge(simplemerge.Merge3Text):
    """Mercurial's merge by lines, aligned by the diff that it has from git where it was built with that.

    Its own diff may align lines that were moved, or that are all alike, otherwise than git, and see no
    conflict where git sees one.
    """

    def find_sync_regions(self):
        if XDIFF is None:
            return super().find_sync_regions()
        ends = (len(self.base), len(self.a), len(self.b))
        to_a = matched_lines(self.basetext, self.atext, ends[0])
        to_b = matched_lines(self.basetext, self.btext, ends[0])
        regions = []
        for line, (one, other) in enumerate(zip(to_a, to_b, strict=True)):
            if one < 0 or other < 0:
                continue
            if regions and regions[-1][1::2] == [line, one, other]:
                regions[-1][1::2] = [line + 1, one + 1, other + 1]
            else:
                regions.append([line, line + 1, one, one + 1, other, other + 1])
        regions.append([end for end in ends for _ in range(2)])
        return regions


def matched_lines(before, after, count):
    """For each line of `before` the line of `after` that it is, or -1."""
    found = [-1] * count
    for start, end, other, _ in XDIFF(before, after):
        found[start:end] = range(other, other + end - start)
    return found


def merged_text(before, here, there):
    """The merged lines; None where they conflict in either alignment: what depends on it is for people."""
    found = None
    for engine in (LineMerge, simplemerge.Merge3Text):
        lines = []
        for what, group in engine(before, here, there).merge_groups():
            if what == b"conflict":
                return None
            lines.extend(group)
        found = b"".join(lines)
    return found


def marked_text(before, here, there, labels):
    """A file with diff3 markers."""
    for engine in (simplemerge.Merge3Text, LineMerge):
        groups = list(engine(before, here, there).merge_groups())
        if any(what == b"conflict" for what, _ in groups):
            break
    lines = []
    for what, group in groups:
        if what != b"conflict":
            lines.extend(group)
            continue
        old, mine, new = group
        for marker, side in (
            (b"<<<<<<< " + labels[0], mine),
            (b"||||||| base", old),
            (b"=======", new),
        ):
            lines += [marker + b"\n", *_ended(side)]
        lines.append(b">>>>>>> " + labels[1] + b"\n")
    return b"".join(lines)


def _ended(lines):
    return [*lines[:-1], lines[-1] if lines[-1].endswith(b"\n") else lines[-1] + b"\n"] if lines else []


class TreeBackend(patch.abstractbackend):
    """Where Mercurial's patch program applies a diff: a tree in memory."""

    def __init__(self, ui, store, tree):
        super().__init__(ui)
        self.repo = store.repo
        self._store, self._tree = store, tree
        self.changes = {}
        self.rejected = []

    def _get(self, path):
        return self.changes[path] if path in self.changes else self._tree.get(path)

    def getfile(self, fname):
        entry = self._tree.get(fname)
        if entry is None:
            return None, None
        return self._store.content(entry), (entry.flag == b"l", entry.flag == b"x")

    def setfile(self, fname, data, mode, copysource):
        old = self._get(fname)
        flag = (old.flag if old else b"") if mode is None else b"l" if mode[0] else b"x" if mode[1] else b""
        if data is None:
            source = old or self._tree.get(copysource or fname)
            if source is None:
                raise patch.PatchError(b"cannot patch %s: it is not there" % fname)
            data = self._store.content(source)
        if len(data) > LARGEST_FILE:
            raise Refused(f"{text(fname)} would have more than {LARGEST_FILE} bytes")
        self.changes[fname] = self._store.new_content(data, flag, copysource)

    def unlink(self, fname):
        if self._get(fname) is None:
            raise patch.PatchError(b"cannot remove %s: it is not there" % fname)
        self.changes[fname] = None

    def writerej(self, fname, failed, total, lines):
        self.rejected.append((fname, failed, total))

    def exists(self, fname):
        return self._get(fname) is not None

    def close(self):
        return set(self.changes)


class Trials:
    """The questions that a client may ask."""

    def __init__(self, server):
        self.ui = server.repoui or server.ui
        self.store = Store(server.repo)

    def ask(self, request):
        return getattr(self, "ask_" + request["ask"])(request)

    def ask_open(self, request):
        self.store.scratch = request["scratch"]
        for folder in ("trees", "blobs"):
            os.makedirs(os.path.join(self.store.scratch, folder), exist_ok=True)
        yield {"version": text(util.version()), "changesets": len(self.store.repo)}

    def ask_look_up(self, request):
        self.store.refresh()
        for name in request["names"]:
            try:
                yield self._look_up(name)
            except error.AmbiguousPrefixLookupError:
                yield {"reason": "is ambiguous"}
            except UNREADABLE as failure:
                yield {"reason": f"cannot be read: {why(failure)}", "broken": True}

    def _look_up(self, name):
        node = self._node(name)
        if node is None or node == nullid:
            return {"reason": "is not in this clone"}
        repo = self.store.repo
        changes = repo.changelog
        if not changes.hasnode(node):
            return {"reason": "leads to a commit that is not in this clone", "broken": True}
        made = repo[node]
        storage = repo.manifestlog.getstorage(b"")
        row = self._row(made)
        row["tree"] = to_hex(made.manifestnode()).decode("ascii")
        parents = [parent for parent in made.parents() if parent.rev() != nullrev]
        row["parents"] = [parent.hex().decode("ascii") for parent in parents]
        row["base"] = None
        if len(parents) < 2:
            below = parents[0].manifestnode() if parents else nullid
            row["base"] = to_hex(below).decode("ascii")
        for root in {to_bin(row["tree"]), to_bin(row["base"] or row["tree"])} - {nullid}:
            storage.rev(root)
        return row

    def _node(self, name):
        """The changeset that a name leads to: hash, kept tip, bookmark, branch or beginning of a hash."""
        repo = self.store.repo
        word = name.encode("utf-8", "surrogateescape")
        if re.fullmatch(rb"[0-9a-fA-F]{40}", word):
            node = to_bin(word.lower())
            is_made = node != wdirid and repo.changelog.hasnode(node)
            return node if is_made else None
        try:
            with open(repo.vfs.join(b"shipit-tips"), encoding="utf-8") as handle:
                tips = json.load(handle)
        except FileNotFoundError:
            tips = {}
        if name in tips:
            return to_bin(tips[name].encode("ascii"))
        if word in repo._bookmarks:
            return repo._bookmarks[word]
        tip = self._branch_tip(word)
        if tip is not None:
            return tip
        if re.fullmatch(rb"[0-9a-fA-F]{7,39}", word):
            return scmutil.resolvehexnodeidprefix(repo, word.lower())
        return None

    def _branch_tip(self, name):
        branches = self.store.repo.branchmap()
        if not branches.hasbranch(name):
            return None
        return branches.branchtip(name)

    def _row(self, made):
        extra = made.extra()
        sources = [
            extra[key].decode("ascii", "replace")
            for key in (b"source", b"intermediate-source")
            if key in extra
        ]
        if b"transplant_source" in extra:
            sources.append(to_hex(extra[b"transplant_source"]).decode("ascii"))
        return {
            "id": made.hex().decode("ascii"),
            "alias": extra.get(b"convert_revision", b"").decode("ascii", "replace"),
            "sources": sources,
            "author": made.user().decode("utf-8", "replace"),
            "authored": int(made.date()[0]),
            "message": made.description().decode("utf-8", "replace"),
        }

    def ask_ancestors(self, request):
        log = self.store.repo.changelog
        for tip, commits in request["tips"].items():
            head = log.rev(to_bin(tip))
            revs = {log.rev(to_bin(commit)): commit for commit in commits}
            low = min(revs)
            found = set(log.reachableroots(low, [head], list(revs), includepath=False))
            yield {"tip": tip, "below": [commit for rev, commit in revs.items() if rev in found]}

    def _above(self, tip, low):
        """Changesets of the tip that are not below `low`, the newest first."""
        log = self.store.repo.changelog
        head = log.rev(to_bin(tip))
        floor = [log.rev(to_bin(low))] if low else [nullrev]
        return reversed(log.findmissingrevs(floor, [head]))

    def ask_log(self, request):
        """Rows of the tip's changesets above `low`. backouts: only those that may be one."""
        repo, count = self.store.repo, 0
        for rev in self._above(request["tip"], request["low"]):
            if request["backouts"] and not self.store.is_backout(rev):
                continue
            made = repo[rev]
            yield self._row(made)
            count += 1
            if count >= request["most"]:
                return

    def ask_paths(self, request):
        yield {"paths": [told(path) for path in self.store.repo[to_bin(request["commit"])].files()]}

    def ask_same_patch(self, request):
        """Changesets of the tip above the base whose change, whitespace and place aside, is the commit's."""
        repo = self.store.repo
        made = repo[to_bin(request["commit"])]
        paths = set(made.files())
        if not paths or len(paths) > 100:
            return
        mine = self._patch_id(made)
        count = 0
        for rev in self._above(request["tip"], request["commit"]):
            other = repo[rev]
            if paths.isdisjoint(other.files()):
                continue
            count += 1
            if count > MOST_PATCH_IDS:
                return
            if paths == set(other.files()) and self._patch_id(other) == mine:
                yield {"id": other.hex().decode("ascii")}

    def _patch_id(self, made):
        digest = hashlib.sha1()
        before, after = made.p1().manifestnode(), made.manifestnode()
        for path in sorted(made.files()):
            old, new = self.store.entry(before, path), self.store.entry(after, path)
            one = self.store.content(old) if old else b""
            other = self.store.content(new) if new else b""
            digest.update(b"%s %d %d\0" % (path, old is not None, new is not None))
            if is_binary(one) or is_binary(other):
                digest.update(other)
                continue
            first, second = mdiff.splitnewlines(one), mdiff.splitnewlines(other)
            for (a1, a2, b1, b2), kind in mdiff.allblocks(one, other, lines1=first, lines2=second):
                if kind == b"=":
                    continue
                for sign, lines in ((b"-", first[a1:a2]), (b"+", second[b1:b2])):
                    for line in lines:
                        digest.update(sign + b"".join(line.split()))
        return digest.hexdigest()

    def ask_merge(self, request):
        self.store.refresh()
        for names in request["merges"]:
            try:
                yield self._merge(*names, keeps_sides=request.get("keeps_sides", False))
            except Refused as refusal:
                yield {"reason": str(refusal)}
            except UNREADABLE as failure:
                yield {"reason": f"it cannot be read: {why(failure)}"}

    def _merge(self, base, ours, theirs, *, keeps_sides):
        store = self.store
        done = Merging(store, store.tree(base), store.tree(ours), store.tree(theirs)).run()
        if not done.conflicts:
            return {"tree": store.changed_tree(store.tree(ours), done.changes).name}
        for _, sides in done.conflicts.values() if keeps_sides else ():
            for _, side in sides:
                store.new_content(store.content(side), side.flag)
        rows = [
            (told(path), kind, [(stage, MODES[side.flag], store.blob(side)) for stage, side in sides])
            for path, (kind, sides) in sorted(done.conflicts.items())
        ]
        return {"conflicts": rows}

    def ask_changes(self, request):
        """What differs between the trees of each pair: path, entry before, entry after."""
        store = self.store
        for one, other in request["pairs"]:
            first, second = store.tree(one), store.tree(other)
            paths = set(first.over) | set(second.over)
            if first.root != second.root:
                paths.update(store.touched(first.root, second.root))
            rows = []
            for path in sorted(paths):
                old, new = self._row_at(first, path), self._row_at(second, path)
                if old != new:
                    rows.append((told(path), old, new))
            yield {"changes": rows}

    def ask_entries(self, request):
        """What is at paths of trees: an entry, a folder, or nothing."""
        for name, paths in request["trees"]:
            tree = self.store.tree(name)
            rows = []
            for path in map(heard, paths):
                row = self._row_at(tree, path)
                rows.append((FOLDER, "") if row is None and tree.has_folder(path) else row)
            yield {"entries": rows}

    def _row_at(self, tree, path):
        """Mode and id of a file: git's hash of what a merge made, else the version in the file's history."""
        entry = tree.get(path)
        if entry is None:
            return None
        is_ours = path in tree.over or entry.node is None
        return MODES[entry.flag], self.store.blob(entry) if is_ours else to_hex(entry.node).decode("ascii")

    def ask_sides(self, request):
        """The whole sides of one path that conflicts, and the file with markers where it goes by lines."""
        store = self.store
        base, ours, theirs = request["merge"]
        done = Merging(store, store.tree(base), store.tree(ours), store.tree(theirs)).run()
        kind, sides = done.conflicts.get(heard(request["path"]), (None, ()))
        contents = {stage: store.content(side) for stage, side in sides}
        answer = {"kind": kind, "sizes": {stage: len(content) for stage, content in contents.items()}}
        if not any(is_binary(content) or len(content) > request["most"] for content in contents.values()):
            answer["sides"] = {stage: packed(content) for stage, content in contents.items()}
            if 2 in contents and 3 in contents:
                labels = [label.encode("ascii") for label in request["labels"]]
                marked = marked_text(contents.get(1, b""), contents[2], contents[3], labels)
                answer["marked"] = packed(marked)
        yield answer

    def ask_annotate(self, request):
        """Who wrote some lines of a file at a changeset, and what last touched it."""
        repo = self.store.repo
        made, path = repo[to_bin(request["commit"])], heard(request["path"])
        entry = self.store.entry(made.manifestnode(), path)
        if entry is None or request["blob"] is None:
            yield {"reason": None if entry is None else "the file is there"}
            return
        content = self.store.content(entry)
        if self.store.blob(entry) != request["blob"]:
            yield {"reason": "the file is not in this form in its history"}
            return
        if len(content) > request["most"] or is_binary(content):
            yield {"reason": f"it is binary or has more than {request['most']} bytes"}
            return
        file = made[path]
        last = file.introrev()
        revs = [line.fctx.introrev() for line in file.annotate(follow=True)] if request["lines"] else []
        spans = []
        for first, end in request["lines"]:
            for number in range(first, min(end, len(revs)) + 1):
                rev = revs[number - 1]
                if spans and spans[-1][1] == number - 1 and spans[-1][2] == rev:
                    spans[-1][1] = number
                else:
                    spans.append([number, number, rev])
        named = {last, *(rev for _, _, rev in spans)}
        names = {rev: repo[rev].hex().decode("ascii") for rev in named}
        yield {
            "spans": [(first, end, names[rev]) for first, end, rev in spans],
            "last": names[last],
            "commits": [self._row(repo[rev]) for rev in sorted(named)],
        }

    def ask_apply(self, request):
        store = self.store
        diff = base64.b64decode(request["diff"])
        tree = store.tree(request["tree"])
        ui = self.ui.copy()
        ui.setconfig(b"patch", b"fuzz", b"0")
        backend = TreeBackend(ui, store, tree)
        ui.pushbuffer(error=True)
        try:
            patch.patchbackend(ui, backend, util.stringio(diff), request["strip"], b"", eolmode=b"strict")
        except patch.PatchError as failure:
            said = text(ui.popbuffer()).strip() or why(failure)
            is_corrupt = not isinstance(failure, getattr(patch, "PatchApplicationError", ())) and bool(
                re.search(r"bad hunk|malformed|corrupt|could not (?:extract|decode)|hunk #", why(failure))
            )
            yield {"complaint": said[-500:], "corrupt": is_corrupt}
            return
        except (Refused, *UNREADABLE) as failure:
            ui.popbuffer()
            yield {
                "complaint": str(failure) if isinstance(failure, Refused) else why(failure),
                "corrupt": True,
            }
            return
        ui.popbuffer()
        changed = [told(path) for path in backend.changes]
        yield {"tree": store.changed_tree(tree, backend.changes).name, "changed": changed}

    def ask_versions(self, request):
        """The tip with the file versions that a diff names, searched for in the files' histories."""
        store = self.store
        changes = {heard(path): None for path in request["new"]}
        for path, name, mode in request["old"]:
            entry = self._version(heard(path), name)
            if entry is None:
                yield {}
                return
            entry.flag = FLAGS.get(mode, b"")
            changes[heard(path)] = entry
        yield {"tree": store.changed_tree(store.tree(request["tip"]), changes).name}

    def _version(self, path, name):
        log = self.store.filelog(path)
        for rev in range(len(log) - 1, max(-1, len(log) - 1 - MOST_VERSIONS), -1):
            entry = Entry(b"", path=path, node=log.node(rev))
            if self.store.blob(entry).startswith(name):
                return entry
        return None

    def ask_bugs(self, request):
        """Changesets of a branch whose message names one of some bugs, the oldest first."""
        numbers = b"|".join(b"%d" % bug for bug in request["bugs"])
        named = re.compile(rb"bugs?[\s:#]*(?:%s)(?![0-9])" % numbers, re.IGNORECASE)
        repo = self.store.repo
        rows = []
        for rev in self._above(request["tip"], request["until"]):
            made = repo[rev]
            if request["since"] is not None and made.date()[0] < request["since"]:
                # Times of neighbours differ by days at most: further down nothing is young enough.
                if made.date()[0] < request["since"] - 30 * 86400:
                    break
                continue
            if named.search(made.description()):
                rows.append(self._row(made))
        yield from reversed(rows)

    def ask_files(self, request):
        """Rows of changesets with what they touch: of `names`, else above `low`, newest first."""
        repo = self.store.repo
        if "names" in request:
            revs = [repo.changelog.rev(to_bin(name)) for name in request["names"]]
        else:
            revs = self._above(request["tip"], request["low"])
        count = 0
        for rev in revs:
            made = repo[rev]
            parents = [parent.hex().decode("ascii") for parent in made.parents() if parent.rev() != nullrev]
            if request["merges"] or len(parents) < 2:
                yield {**self._row(made), "parents": parents, "paths": [told(path) for path in made.files()]}
                count += 1
                if count >= request["most"]:
                    return

    def ask_past(self, request):
        """Changesets of `names`, else of the tip that are not below `low`, with trees and files."""
        repo = self.store.repo
        if "names" in request:
            revs = [repo.changelog.rev(to_bin(name)) for name in request["names"]]
        else:
            revs = list(self._above(request["tip"], request["low"]))[: request["most"]]
        for rev in revs:
            made = repo[rev]
            parents = [parent for parent in made.parents() if parent.rev() != nullrev]
            one = parents[0] if parents else made.p1()
            added, removed, copies = set(made.filesadded()), set(made.filesremoved()), made.p1copies()
            yield {
                **self._row(made),
                "rev": rev,
                "parents": [parent.hex().decode("ascii") for parent in parents],
                "parent_revs": [parent.rev() for parent in parents],
                "tree": to_hex(made.manifestnode()).decode("ascii"),
                "base": None if len(parents) > 1 else to_hex(one.manifestnode()).decode("ascii"),
                "files": [
                    (
                        told(path),
                        "D" if path in removed else "A" if path in added and path not in copies else "M",
                        told(copies[path]) if copies.get(path) in removed else None,
                    )
                    for path in made.files()
                ],
            }

    def ask_spans(self, request):
        """Where a changeset changed each of some files (by lines), null for what has no lines."""
        made = self.store.repo[to_bin(request["commit"])]
        before, after = made.p1().manifestnode(), made.manifestnode()
        for path, old_path in request["files"]:
            old, new = self.store.entry(before, heard(old_path)), self.store.entry(after, heard(path))
            one, other = (self.store.content(entry) if entry else b"" for entry in (old, new))
            spans = None
            if not (is_binary(one) or is_binary(other)):
                spans = [places for places, kind in mdiff.allblocks(one, other) if kind == b"!"]
            yield {"spans": spans}

    def ask_land(self, request):
        """Commit trees one upon the other above a changeset, each as a pick of another one, with a bookmark.

        The one question that writes into the clone: new draft changesets and one new bookmark.
        """
        name = request["name"].encode("utf-8")
        # what answers other questions stays unable to write
        repo = hg.repository(self.ui, self.store.repo.root).unfiltered()
        try:
            scmutil.checknewlabel(repo, name, b"bookmark")
        except error.Abort as failure:
            yield {"refused": f"{request['name']!r} cannot be the name of a bookmark: {why(failure)}"}
            return
        taken = name in repo._bookmarks or name in repo.tags() or repo.branchmap().hasbranch(name)
        if taken or scmutil.isrevsymbol(repo, name):
            yield {"refused": f"there is a {request['name']} already, and nothing that is there is changed"}
            return
        with (
            repo.wlock(),
            repo.lock(),
            repo.transaction(b"shipit-landing-plan") as writing,
        ):
            head, before = to_bin(request["parent"]), self.store.tree(request["tree"])
            for step in request["steps"]:
                after = self.store.tree(step["tree"])
                head = self._picked(repo, repo[to_bin(step["commit"])], head, before, after)
                before = after
            repo._bookmarks.applychanges(repo, writing, [(name, head)])
        yield {"head": to_hex(head).decode("ascii")}

    def _picked(self, repo, source, parent, before, after):
        """A changeset that makes one tree of another as a pick of `source`: its words, author and time."""
        store = self.store
        paths = [
            path
            for path in set(before.over) | set(after.over)
            if self._row_at(before, path) != self._row_at(after, path)
        ]

        def file(_, made, path):
            entry = after.get(path)
            if entry is None:
                return None
            content, copied = store.content(entry), store.copied_from(entry)
            is_link, is_run = entry.flag == b"l", entry.flag == b"x"
            return context.memfilectx(repo, made, path, content, is_link, is_run, copied)

        extra = {b"source": source.hex(), b"branch": repo[parent].branch()}
        said = source.description()
        made = context.memctx(
            repo, (parent, nullid), said, sorted(paths), file, source.user(), source.date(), extra
        )
        return repo.commitctx(made)

    def ask_diff(self, request):
        """The git-style diff of a changeset to its first parent."""
        repo = self.store.repo
        made = repo[to_bin(request["commit"])]
        options = mdiff.diffopts(git=True, context=8, showfunc=False)
        total, parts = 0, []
        for chunk in patch.diff(repo, made.p1().node(), made.node(), opts=options):
            total += len(chunk)
            if total > request["most"]:
                yield {"reason": f"its diff is larger than {request['most']} bytes"}
                return
            parts.append(chunk)
        yield {"diff": packed(b"".join(parts))}

    def ask_read(self, request):
        """The content of files of changesets; null where there is no such file."""
        for commit, path in request["files"]:
            entry = self.store.entry(self.store.repo[to_bin(commit)].manifestnode(), heard(path))
            yield {"content": None if entry is None else packed(self.store.content(entry))}


def packed(content):
    return base64.b64encode(content).decode("ascii")


def answer(server):
    """One request of the client and all answers to it."""
    request = json.loads(server._readstr())
    end = {"end": True}
    try:
        if getattr(server, "_shipit_trials", None) is None:
            server._shipit_trials = Trials(server)
        for found in server._shipit_trials.ask(request):
            server.cresult.write(json.dumps(found).encode("ascii"))
    except Refused as refusal:
        end["failed"] = str(refusal)
    except UNREADABLE as failure:
        end["failed"] = why(failure)
    server.cresult.write(json.dumps(end).encode("ascii"))


def extsetup(ui):
    commandserver.server.capabilities[b"shipittrials"] = answer


@command(b"debugshipitnames", [], b"URL", norepo=True)
def debugshipitnames(ui, url):
    """print a repository's bookmarks and the heads of its branches as JSON"""
    peer = hg.peer(ui, {}, url)
    try:
        bookmarks = peer.listkeys(b"bookmarks")
        known = peer.branchmap()
        # A peer on this machine answers with its cache itself.
        branches = (
            known
            if isinstance(known, dict)
            else {name: known.branchheads(name, closed=True) for name in known}
        )
        found = {
            "bookmarks": {text(name): text(node) for name, node in bookmarks.items()},
            "branches": {
                text(name): [to_hex(node).decode("ascii") for node in heads]
                for name, heads in branches.items()
            },
        }
    finally:
        peer.close()
    ui.write(json.dumps(found).encode("ascii") + b"\n")
