# SPDX-License-Identifier: MPL-2.0
"""Named SQL: the files of `queries/` read once into statements that are called by name."""

from __future__ import annotations

import re
from importlib import resources

_NAME = re.compile(r"^-- name: ([a-z_]+)$", re.MULTILINE)


def load(subject: str) -> dict[str, bytes]:
    """The statements of queries/{subject}.sql by name, without their comments and indentation.

    Shorter so: the driver keeps what it worked out of a statement only up to 4096 bytes.
    """
    text = resources.files(__package__).joinpath("queries", f"{subject}.sql").read_text(encoding="utf-8")
    _, *parts = _NAME.split(text)
    return dict(zip(parts[::2], map(_bare, parts[1::2]), strict=True))


def _bare(part: str) -> bytes:
    lines = (line.strip() for line in part.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("--")).encode()
