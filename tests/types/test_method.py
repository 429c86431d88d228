"""Records of earlier versions bear other names of methods."""

import msgspec
import pytest
from tests.report import sample_report as sample

from freehold.types.method import METHOD_KINDS
from freehold.types.verdict import Verdict


@pytest.mark.parametrize(("stored", "today"), [("adapter", "lora"), ("whole", "full"), ("as_is", "as_is")])
def test_a_verdict_of_before_is_read_with_the_name_of_today(stored, today):
    verdict = sample.candidate().verdict
    raw = msgspec.to_builtins(verdict) | {"method": stored}
    read = msgspec.json.decode(msgspec.json.encode(raw), type=Verdict)
    assert read.method == today and read.method in METHOD_KINDS
