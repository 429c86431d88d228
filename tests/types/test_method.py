"""Records of earlier versions bear other names of methods."""

import msgspec
import pytest
from tests.report import sample_report as sample

from freehold.types.method import METHOD_KINDS
from freehold.types.report import CandidateReport
from freehold.types.verdict import Verdict


@pytest.mark.parametrize(("stored", "today"), [("adapter", "lora"), ("whole", "full"), ("as_is", "as_is")])
def test_a_verdict_of_before_is_read_with_the_name_of_today(stored, today):
    verdict = sample.candidate().verdict
    raw = msgspec.to_builtins(verdict) | {"method": stored}
    read = msgspec.json.decode(msgspec.json.encode(raw), type=Verdict)
    assert read.method == today and read.method in METHOD_KINDS


def test_a_report_of_before_says_which_training_it_was():
    trained = sample.candidate().trained
    trained = msgspec.structs.replace(trained, config=msgspec.structs.replace(trained.config, method="kto"))
    raw = msgspec.to_builtins(CandidateReport(model="org/a", trained=trained)) | {"method": "adapter"}
    assert msgspec.json.decode(msgspec.json.encode(raw), type=CandidateReport).method == "kto"
