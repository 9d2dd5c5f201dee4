# SPDX-License-Identifier: MPL-2.0
"""Task ids that say what they are for: the same effect always gets the same id."""

from __future__ import annotations

import base64
import hashlib


def task_id(*words: str | int) -> str:
    """A slugid (22 characters, shaped as a version 4 UUID) made from the words and nothing else."""
    # the lengths keep ("a", "bc") and ("ab", "c") apart
    text = "".join(f"{len(str(word))}:{word}," for word in words)
    octets = bytearray(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:16])
    octets[0] &= 0x7F  # never a leading dash, which command lines take for an option
    octets[6] = octets[6] & 0x0F | 0x40
    octets[8] = octets[8] & 0x3F | 0x80
    return base64.urlsafe_b64encode(bytes(octets)).decode().rstrip("=")
