"""Reports: what a candidate is called, and which one was chosen."""

import msgspec
from tests.report import choosing
from tests.report import sample_report as sample

from freehold.types.report import CandidateReport, Report


def test_a_candidate_is_called_by_what_tells_it_apart():
    made = CandidateReport(model="org/a", method="lora", endpoint="house", name="rank 4")
    assert made.label == "org/a · lora at house (rank 4)"
    assert CandidateReport(model="org/a").label == "org/a"


def test_the_chosen_one_is_known_after_reading_as_well():
    report = choosing.report()
    read = msgspec.json.decode(msgspec.json.encode(report), type=Report)
    assert read.choice == report.choice and read.chosen.model == choosing.CHOSEN
    assert sample.report(sample.candidate()).chosen is None
