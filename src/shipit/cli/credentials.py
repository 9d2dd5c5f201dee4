# SPDX-License-Identifier: MPL-2.0
"""What this process signs with at Taskcluster."""

from __future__ import annotations

from shipit.clients.taskcluster import Credentials
from shipit.settings import Settings


def credentials_of(settings: Settings) -> Credentials | None:
    """The settings' Taskcluster client; None when they name none."""
    given = settings.taskcluster
    if given.client_id is None or given.access_token is None:
        return None
    certificate = None if given.certificate is None else given.certificate.reveal()
    return Credentials(given.client_id, given.access_token.reveal(), certificate)
