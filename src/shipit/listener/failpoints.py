# SPDX-License-Identifier: MPL-2.0
"""Named places between any two steps, at which the drills kill the listener."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from shipit.errors import InvalidInput

Reached = Callable[[str], None]

FAILPOINTS = (
    "heard",  # a batch came, nothing is stored
    "recorded",  # stored with its effects, not acknowledged
    "looked",  # an event is claimed for a look
    "informed",  # its facts are fetched
    "judged",  # its verdict and effects are stored
    "claimed",  # an effect is marked as firing
    "triggered",  # the call is answered, nothing is stored
    "settled",  # what came of it is stored
    "resolved",  # the task's end is known, nothing is stored
    "ended",  # the task's end is stored
)


def never(_name: str) -> None:
    """No failpoint is armed."""


def kill_at(spec: str) -> Reached:
    """Kill this process as a power cut would at the failpoint `name`, or `name:3` for the third time it is
    reached. Raises InvalidInput."""
    name, _, count = spec.partition(":")
    if name not in FAILPOINTS or (count and not count.isdecimal()):
        raise InvalidInput("SHIPIT_FAILPOINT", expected=f"one of {', '.join(FAILPOINTS)}", got=spec)
    left = int(count or 1)

    def reached(here: str) -> None:
        nonlocal left
        if here == name:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return reached
