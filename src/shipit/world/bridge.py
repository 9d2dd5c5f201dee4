# SPDX-License-Identifier: MPL-2.0
"""What Mozilla's bridge does between the fakes: a revision's status becomes the flag of its attachment."""

from __future__ import annotations

from shipit.world.bugzilla import RELEASE_MANAGERS, FakeBugzilla
from shipit.world.phabricator import FakePhabricator
from shipit.world.phabricator_state import Revision, User

# The bridge's own table: what each status of a revision makes of the approval flag.
FLAG_OF = {
    "accepted": "+",
    "abandoned": "-",
    "needs-revision": "-",
    "changes-planned": "X",
    "needs-review": "?",
    "draft": "?",
}


class Bridge:
    """Carries the status of revisions on trains' repositories over to Bugzilla, as the person who changed it.

    is_held: statuses are not carried over until `follow`, as the real one takes its minutes.
    """

    def __init__(self, bugzilla: FakeBugzilla, phabricator: FakePhabricator) -> None:
        self.bugzilla, self.phabricator = bugzilla, phabricator
        self.is_held = False
        self._waiting: list[tuple[Revision, User]] = []
        phabricator.conduit.on_edit = self._edited

    def follow(self) -> None:
        """Carry over whatever waits."""
        waiting, self._waiting = self._waiting, []
        for revision, changer in waiting:
            self._carry(revision, changer)

    def _edited(self, revision: Revision, changer: User) -> None:
        self._waiting.append((revision, changer))
        if not self.is_held:
            self.follow()

    def _carry(self, revision: Revision, changer: User) -> None:
        repository = next(
            (one for one in self.phabricator.repositories.values() if one.phid == revision.repository), None
        )
        kind = None
        if repository is not None:
            train = repository.short_name.rpartition("-")[2]
            kind = self.bugzilla.state.flag_types.get(f"approval-mozilla-{train}")
        status = FLAG_OF.get(revision.status)
        who = self.bugzilla.state.users.get(changer.email)
        if kind is None or status is None or who is None:
            return
        if status in ("+", "-") and RELEASE_MANAGERS not in who.groups:
            # The real one writes a line to its log, which nobody reads.
            return
        for one in self.bugzilla.attachments_named(f"phabricator-D{revision.id}-url.txt"):
            held = next((flag for flag in one.flags if flag.type is kind), None)
            if (held.status if held else "X") != status:
                self.bugzilla.set_flag(kind.name, status, by=who.login, attachment=one.id)
