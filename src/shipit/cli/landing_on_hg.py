# SPDX-License-Identifier: MPL-2.0
"""A landing plan simulated on a Mercurial clone, and written there as a new bookmark."""

from __future__ import annotations

from collections.abc import Sequence

from shipit.cli.landing_simulated import Place, Simulated, simulate
from shipit.errors import InvalidInput
from shipit.merge.history import Entry
from shipit.merge.landing_order import Memory, Uplift, plan
from shipit.merge.left_behind import carried, left_behind
from shipit.merge.store import Known
from shipit.merge.types import Commit, Patch
from shipit.vcs.hg import is_hg
from shipit.vcs.hg_ground import HgGround
from shipit.vcs.picking import Pick

# Where main may be in a clone in which nobody says so, the likeliest first.
MAINS = ("main", "central", "mozilla-central", "autoland", "master", "default")


async def simulated(place: Place, series: Sequence[Patch]) -> Simulated:
    """See `shipit.cli.landing_simulated.simulate`, on a clone of either kind."""
    return await (simulate_on_hg if is_hg(place.repo) else simulate)(place, series)


async def simulate_on_hg(place: Place, series: Sequence[Patch]) -> Simulated:
    """As `shipit.cli.landing_simulated.simulate`, of commits and with a bookmark only."""
    if place.patches is not None:
        expected = "a git clone; of a Mercurial one write a --bookmark, and `hg export` makes patches of it"
        raise InvalidInput("--patches", expected=expected)
    if not all(isinstance(one, Commit) for one in series):
        raise InvalidInput("--diff", expected="a git clone: on a Mercurial one plans are made of changesets")
    names = list(dict.fromkeys(one.revision for one in series))
    async with HgGround(place.repo) as ground:
        (tip,) = await ground.entries({place.onto: "--onto"})
        named = await ground.entries(dict.fromkeys(names, "REV"))
        main = await _main(ground, place.main, tip, named)
        await ground.follow(tip, [main, *named])
        history = ground.history
        below = await ground.store.ancestors({(entry.id, tip.id) for entry in named})
        wanted = [entry for entry in named if (entry.id, tip.id) not in below]
        made = await plan(Memory(ground), [Uplift(entry.id, (entry,)) for entry in wanted], tip)
        on_train, missing = carried(history, tip.position, main.position)
        waiting = {entry.position for entry in named}
        landing = {step.uplift.position for step in made.steps}
        behind = left_behind(history, on_train | landing, missing - landing - waiting)
        written = None
        if place.branch is not None:
            picks = [Pick(step.uplift.entries[0], step.tree) for step in made.steps if not step.is_empty]
            written = await ground.bookmark(tip, picks, place.branch)
        already = tuple(entry for entry in named if (entry.id, tip.id) in below)
        return Simulated(made, tuple(behind), already, tip.id, written)


async def _main(ground: HgGround, name: str | None, tip: Entry, named: Sequence[Entry]) -> Entry:
    """The head of main: as told, else the likeliest that holds the most of what is to land."""
    if name is not None:
        (main,) = await ground.entries({name: "--main"})
        return main
    found = await ground.store.look_up(MAINS)
    heads = [one.id for each in MAINS if isinstance(one := found[each], Known)]
    held = await ground.store.ancestors({(entry.id, head) for entry in named for head in heads})
    counts = [sum(1 for _, head in held if head == one) for one in heads]
    if not heads or not max(counts):
        return max(named, key=lambda entry: entry.position, default=tip)
    (main,) = await ground.entries({heads[counts.index(max(counts))]: "--main"})
    return main
