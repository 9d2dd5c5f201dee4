# SPDX-License-Identifier: MPL-2.0
"""How the engine for Mercurial names a tree: a promise that results of other engines can be compared with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def tree_name(manifest: str, changes: Mapping[bytes, tuple[str, str] | None]) -> str:
    """The name of the tree that is a manifest (40 hex digits) with changes made.

    changes: by path the flag ("", "x" or "l") and the hash that git gives the content, None where the file
    is gone; only what really differs from the manifest. Without any the name is the manifest's own.
    """
    if not changes:
        return manifest
    digest = hashlib.sha1(manifest.encode("ascii") + b"\n", usedforsecurity=False)
    for path in sorted(changes):
        change = changes[path]
        words = b"-" if change is None else " ".join(change).encode("ascii")
        digest.update(words + b"\t" + path + b"\0")
    return digest.hexdigest()
