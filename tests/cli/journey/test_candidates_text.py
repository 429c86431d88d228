"""How one of several candidates was chosen, as a terminal shows it."""

from tests.report import choosing
from tests.report import sample_report as sample

from freehold.cli.journey.candidates_text import choice_lines
from freehold.report.selection_rows import NOT_EVIDENCE


def test_each_candidate_has_its_figures_and_its_reason():
    text = "\n".join(line for _, line in choice_lines(choosing.report()))
    assert text.startswith("org/chosen is the cheapest.")
    assert (
        "90.0%, +0.0 points [-3.0, +3.0], on 96 of 96 selection samples, half under 900 ms, $0.2 per 1,000"
        in text
    )
    assert "not chosen: it suffices as well" in text and "stopped: it cannot be reached" in text
    assert text.count("Costs measured here are at $0.10 an hour") == 1
    assert text.endswith(NOT_EVIDENCE)


def test_the_chosen_one_stands_before_what_costs_more():
    labels = [line for indent, line in choice_lines(choosing.report()) if indent == 2]
    assert labels[:2] == ["org/chosen · as_is", "org/dearer · lora"]


def test_one_candidate_is_no_choice():
    assert list(choice_lines(sample.report(sample.candidate()))) == []
