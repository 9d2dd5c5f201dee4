# SPDX-License-Identifier: MPL-2.0
"""The pages say of an outcome what everything else says of it."""

from __future__ import annotations

import re
from pathlib import Path

from shipit.merge.types import Outcome
from shipit.uplift.standing import KEY_OF, LOOKS, StandingKey
from shipit.uplift.types import RequestState

TYPESCRIPT = Path(__file__).parent.parent.parent / "frontend" / "src" / "lib" / "outcomes.ts"
COLOURS = {"green": "ok", "red": "bad", "grey": "mute", "run": "run"}


def test_outcomes_have_the_words_and_colours_of_their_standing() -> None:
    source = TYPESCRIPT.read_text(encoding="utf-8")
    fallback = re.search(r'CANT_TELL: Look = .*word: "([^"]+)", colour: "(\w+)"', source)
    assert fallback is not None
    block = source.split("OUTCOMES:")[1].split("};")[0]
    said = {
        name: (word, colour)
        for name, word, colour in re.findall(r'(\w+): \{.*word: "([^"]+)", colour: "(\w+)"', block)
    }
    said |= dict.fromkeys(re.findall(r"(\w+): CANT_TELL", block), fallback.groups())  # type: ignore[arg-type]
    looks = {one.value: LOOKS[KEY_OF[one]] for one in Outcome}
    assert said == {name: (look.word, COLOURS[look.colour.value]) for name, look in looks.items()}


def test_every_standing_and_state_has_its_icon() -> None:
    source = TYPESCRIPT.read_text(encoding="utf-8")
    standings = source.split("STANDINGS:")[1].split("};")[0]
    assert {one.value for one in StandingKey} == set(
        re.findall(r'^\s*"?([\w-]+)"?: "', standings, re.MULTILINE)
    )
    states = source.split("STATES:")[1].split("};")[0]
    assert {one.value for one in RequestState} == set(re.findall(r"^\s*(\w+): \{", states, re.MULTILINE))
