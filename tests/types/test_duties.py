"""A duty's id is of the model and of all that it says."""

import msgspec

from freehold.types.duties import duty_id
from freehold.types.ruling import Obligation

DUTY = Obligation(key="attribution", license_id="x", section="1", text="name it")


def test_whatever_a_duty_says_is_part_of_its_id():
    others = [
        msgspec.structs.replace(DUTY, **{name: "else"})
        for name in ("key", "section", "text", "value", "model")
    ]
    ids = {duty_id("m", one) for one in (DUTY, *others)} | {duty_id("n", DUTY)}
    assert len(ids) == 7 and duty_id("m", msgspec.structs.replace(DUTY)) == duty_id("m", DUTY)
