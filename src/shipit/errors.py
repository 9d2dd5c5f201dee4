# SPDX-License-Identifier: MPL-2.0
"""What can stop us: one root, few leaves, each with the HTTP status it becomes.

A merge conflict, a lost claim or nothing to do are values, not errors.
The docstring of a leaf is the beginning of its message.
"""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus


class ShipitError(Exception):
    """Something stopped us."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidInput(ShipitError):
    """The input cannot be read."""

    status = HTTPStatus.BAD_REQUEST

    def __init__(self, field: str, *, expected: str, got: object = None) -> None:
        """`field` is the path of the bad field; `expected` finishes "expected …"; `got` is shown bounded."""
        shown = "" if got is None else f", got {_bounded(got)}"
        super().__init__(f"{field}: expected {expected}{shown}")
        self.field = field
        self.expected = expected


class NotAuthenticated(ShipitError):
    """We do not know who is asking."""

    status = HTTPStatus.UNAUTHORIZED


class NotAllowed(ShipitError):
    """We know who is asking, and they may not."""

    status = HTTPStatus.FORBIDDEN


class Missing(ShipitError):
    """There is no such thing (or nothing the asker may see)."""

    status = HTTPStatus.NOT_FOUND


class Refused(ShipitError):
    """A rule forbids it now; the detail names the rule."""

    status = HTTPStatus.CONFLICT


class Unavailable(ShipitError):
    """A service we depend on cannot be reached or does not answer as it should."""

    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, service: str, detail: str, *, retry_at: datetime | None = None) -> None:
        super().__init__(f"{service}: {detail}")
        self.service = service
        self.retry_at = retry_at


class CommandFailed(ShipitError):
    """A command ended badly; carries its words, exit code and the end of what it said."""

    def __init__(self, command: tuple[str, ...], code: int | None, stderr: str) -> None:
        tail = stderr.strip()[-2000:]
        super().__init__(f"{' '.join(command[:4])} ended with {code}: {tail}")
        self.command = command
        self.code = code
        self.stderr = tail


def _bounded(got: object) -> str:
    text = repr(got)
    return text if len(text) <= 80 else text[:77] + "…"
