"""A teacher's probabilities on the student's tokens."""

import math

import msgspec
import pytest
from tests.training.conftest import (
    make_sample,
    make_tokenizer,
)

from freehold.training.methods.distill_samples import format_taught
from freehold.types.dataset import TeacherToken

pytestmark = pytest.mark.timeout(600)


def test_a_teacher_s_probabilities_land_on_the_student_s_tokens():
    tokenizer = make_tokenizer()
    sample = make_sample(
        1, "x", "gold is not imitated", incumbent="order_status",
        teacher=(
            TeacherToken(text="order", top=(("order", math.log(0.7)), ("damaged", math.log(0.2)))),
            TeacherToken(text="_st", top=(("_st", math.log(0.9)), ("_cancel", math.log(0.1)))),
            TeacherToken(text="atus", top=(("atus", 0.0),)),
        ),
    )  # fmt: skip
    (taught,) = format_taught(tokenizer, [sample], max_tokens=200).samples
    targets = [token for token, wanted in zip(taught.ids, taught.mask, strict=True) if wanted]
    assert tokenizer.decode(targets) == "order_status<|im_end|>"
    first = taught.soft[0]
    assert first.at == 0
    assert first.ids[0] == tokenizer("order", add_special_tokens=False)["input_ids"][0]
    assert sum(first.probabilities) == pytest.approx(0.9)
    starts = [len(tokenizer.decode(targets[:at])) for at in range(len(targets))]
    assert {starts[one.at] for one in taught.soft} <= {0, 5, 8}
    # What the teacher spelled is not the answer: words only.
    odd = msgspec.structs.replace(sample, incumbent="order status")
    assert format_taught(tokenizer, [odd], max_tokens=200).samples[0].soft == ()
    missing = make_sample(2, "x", "gold")
    assert [one.code for one in format_taught(tokenizer, [missing], max_tokens=200).rejects] == ["no_teacher"]
