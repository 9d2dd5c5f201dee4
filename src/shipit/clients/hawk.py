# SPDX-License-Identifier: MPL-2.0
"""Sign a request with Taskcluster credentials: our backend, Taskcluster and step services read the same."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

import mohawk
import msgspec


def signature(
    credentials: Mapping[str, str], method: str, url: str, content: bytes, content_type: str
) -> str:
    """The Hawk header of one request. credentials: Taskcluster's {clientId, accessToken, certificate?}."""
    ext = None
    if "certificate" in credentials:
        certificate = json.loads(credentials["certificate"])
        ext = base64.b64encode(msgspec.json.encode({"certificate": certificate})).decode()
    sender = mohawk.Sender(
        {"id": credentials["clientId"], "key": credentials["accessToken"], "algorithm": "sha256"},
        url,
        method,
        content=content,
        content_type=content_type,
        ext=ext,
    )
    return str(sender.request_header)
