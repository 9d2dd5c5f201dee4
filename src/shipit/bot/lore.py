# SPDX-License-Identifier: MPL-2.0
"""How each repository's landings and revisions are spelled, out of the settings."""

from __future__ import annotations

import re

import msgspec

from shipit.settings import Repository, Settings
from shipit.uplift.landing_comments import PATTERNS, LandingPattern
from shipit.uplift.series import RULES, Rules


def rules_for(settings: Settings, repository: str) -> Rules:
    """The rules by which requests of this repository's trains are read."""
    one = settings.repository(repository)
    root = settings.phabricator.url
    return msgspec.structs.replace(
        RULES,
        kind=one.kind,
        revision_url=f"{root.rstrip('/')}/D{{}}" if root else None,
        patterns=(*_patterns(one), *PATTERNS),
    )


def _patterns(repository: Repository) -> tuple[LandingPattern, ...]:
    """The addresses the settings name; such a repository may hold every branch, so none says which."""
    return tuple(
        LandingPattern(
            url=re.escape(prefix) + r"(?P<sha>[0-9a-f]{7,40})", kind=repository.kind, is_whole=True
        )
        for prefix in repository.landing_urls
    )
