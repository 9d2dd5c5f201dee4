# SPDX-License-Identifier: MPL-2.0
"""Signoff policies: any of several lists of counts per group or person, met by distinct persons only.

Each signature fills one slot, so whether a list is met is a matching of persons to slots.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from shipit.errors import InvalidInput
from shipit.pipeline.schema import Problem, pointer, problems

Policy = tuple[dict[str, int], ...]
"""Any one of these must be met: group or person -> how many."""

MOST_SLOTS = 50
SCHEMA: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "maxItems": 20,
    "items": {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {"type": "integer", "minimum": 1, "maximum": MOST_SLOTS},
    },
}


def is_person(name: str) -> bool:
    """Whether a name in a policy is a person's: an e-mail address, or an identity ("provider/user|name").

    Nobody is a member of a person, whatever their scopes say.
    """
    return any(sign in name for sign in "@/|")


class Signer(msgspec.Struct, frozen=True):
    """A person who signed, or would; groups: those they are in, and those delegated to them."""

    person: str
    groups: frozenset[str] = frozenset()

    def fits(self, slot: str) -> bool:
        """Whether this person may fill a slot for a group or a person."""
        return slot == self.person or (slot in self.groups and not is_person(slot))


class Verdict(msgspec.Struct, frozen=True):
    """Whether a policy is met; missing: per list, which slots nobody fills."""

    is_met: bool
    missing: tuple[tuple[str, ...], ...]


def policy_problems(
    given: object,
    members: Mapping[str, Iterable[str]] | None = None,
    *,
    excluded: frozenset[str] = frozenset(),
) -> list[Problem]:
    """Everything wrong with a policy, also that nobody can meet it, as far as the members are known.

    members: group -> persons, for the groups we know. excluded: persons who may not sign.
    """
    found = problems(given, SCHEMA)
    if found or not isinstance(given, list | tuple):
        return found
    for place, wanted in enumerate(given):
        found += [
            Problem(pointer("", place, name), "1, since a person signs once", str(count))
            for name, count in wanted.items()
            if is_person(name) and count > 1
        ]
        if any(not name.strip() for name in wanted):
            found.append(Problem(pointer("", place), "names of groups or persons"))
        if sum(wanted.values()) > MOST_SLOTS:
            found.append(Problem(pointer("", place), f"at most {MOST_SLOTS} signatures"))
    if found or members is None:
        return found
    return [
        Problem(pointer("", place), "a list that somebody can meet", why)
        for place, wanted in enumerate(given)
        if (why := _unsatisfiable(wanted, members, excluded))
    ]


def read(given: object) -> Policy:
    """The policy. Raises InvalidInput naming the first problem."""
    found = policy_problems(given)
    if found:
        raise InvalidInput(f"policy{found[0].pointer}", expected=found[0].expected, got=found[0].got or None)
    assert isinstance(given, list | tuple)
    return tuple(dict(each) for each in given)


def judge(policy: Policy, signers: Sequence[Signer]) -> Verdict:
    """Whether these persons meet one of the lists. Each person counts once, however often they are named."""
    groups: dict[str, frozenset[str]] = {}
    for signer in signers:
        groups[signer.person] = groups.get(signer.person, frozenset()) | signer.groups
    persons = [Signer(person, inside) for person, inside in groups.items()]
    missing = tuple(_missing(wanted, persons) for wanted in policy)
    return Verdict(any(not lacking for lacking in missing), missing)


def helps(policy: Policy, signers: Sequence[Signer], candidate: Signer) -> bool:
    """Whether this person's signature fills a slot, in any list, that stays empty without it."""
    if any(signer.person == candidate.person for signer in signers):
        return False
    before = judge(policy, signers).missing
    behind = judge(policy, [*signers, candidate]).missing
    return any(len(new) < len(old) for old, new in zip(before, behind, strict=True))


def sentence(policy: Policy, signers: Sequence[Signer]) -> str:
    """Who must still sign, in words: the lists that are nearest to being met first."""
    verdict = judge(policy, signers)
    if verdict.is_met:
        return "everybody needed has signed"
    told = [_counted(lacking) for lacking in sorted(verdict.missing, key=len)]
    return f"must still be signed by {', or by '.join(dict.fromkeys(told))}"


def eligible(policy: Policy, signer: Signer) -> bool:
    """Whether any slot of any list is one this person may fill."""
    return any(signer.fits(slot) for wanted in policy for slot in wanted)


def _missing(wanted: Mapping[str, int], persons: Sequence[Signer]) -> tuple[str, ...]:
    """Slots left empty by a largest matching (augmenting paths)."""
    slots = [name for name, count in wanted.items() for _ in range(count)]
    filled: dict[int, int] = {}

    def place(person: int, tried: set[int]) -> bool:
        for position, slot in enumerate(slots):
            if position in tried or not persons[person].fits(slot):
                continue
            tried.add(position)
            if position not in filled or place(filled[position], tried):
                filled[position] = person
                return True
        return False

    for person in range(len(persons)):
        place(person, set())
    return tuple(slot for position, slot in enumerate(slots) if position not in filled)


def _unsatisfiable(
    wanted: Mapping[str, int], members: Mapping[str, Iterable[str]], excluded: frozenset[str]
) -> str:
    groups = {name: set(people) - excluded for name, people in members.items()}
    for name, count in wanted.items():
        if name in groups and len(groups[name]) < count:
            return f"{name} has {len(groups[name])} who may sign, {count} are needed"
        if name in excluded:
            return f"{name} may not sign"
    known = {name: count for name, count in wanted.items() if name in groups or is_person(name)}
    people = {person for name in known for person in groups.get(name, {name})} - excluded
    signers = [
        Signer(person, frozenset(name for name, inside in groups.items() if person in inside))
        for person in sorted(people)
    ]
    lacking = _missing(known, signers)
    return f"the same persons would be needed twice: {_counted(lacking)} stays empty" if lacking else ""


def _counted(slots: Sequence[str]) -> str:
    counts = {slot: slots.count(slot) for slot in slots}
    words = [name if is_person(name) else f"{count} of {name}" for name, count in counts.items()]
    return " and ".join(words)
