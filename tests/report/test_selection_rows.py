"""Candidates side by side: in the order of their cost, the proof apart and last."""

import msgspec
from tests.report import choosing
from tests.report import sample_report as sample

from freehold.report import render
from freehold.report.selection_rows import NO_INCUMBENT, NOT_EVIDENCE, by_cost, not_measured, selection_rows


def test_the_cheapest_comes_first_and_the_proof_apart():
    rows = selection_rows(choosing.report())
    assert [(row.label, row.kind) for row in rows] == [
        ("org/chosen · as_is", "chosen"),
        ("org/dearer · lora", "other"),
        ("org/chosen · as_is", "proof"),
    ]
    assert rows[2].verdict == "hold" and rows[2].needed is None and rows[0].needed == -0.01


def test_one_of_unknown_cost_comes_last():
    report = choosing.report()
    first, *others = report.candidates
    unknown = msgspec.structs.replace(
        first, selection=msgspec.structs.replace(first.selection, cost=None), model="org/unknown"
    )
    report = msgspec.structs.replace(report, candidates=(unknown, first, *others))
    assert [one.model for one in by_cost(report)] == [choosing.CHOSEN, choosing.DEARER, "org/unknown"]
    assert [one.model for one in not_measured(report)] == [choosing.LOST, choosing.UNTRIED]


def test_a_report_over_one_has_no_rows():
    assert selection_rows(sample.report(sample.candidate())) == []
    assert "How it was chosen" not in render(sample.report(sample.candidate()))


def test_the_page_says_the_rule_the_rows_and_why_each_was_not_chosen():
    page = render(choosing.report())
    for wanted in (
        "How it was chosen", "The cheapest one whose result suffices.", "These samples choose and prove nothing",
        "not chosen: it suffices as well", "not tried: org/chosen suffices", "stopped: it cannot be reached",
        "org/chosen · as_is, measured on held-out samples", NOT_EVIDENCE, "$0.2", "candidate, as it is",
    ):  # fmt: skip
        assert wanted in page, wanted
    assert page.index("org/chosen · as_is <span") < page.index("org/dearer · lora <span"), (
        "the proven one first"
    )


def test_it_says_only_what_holds():
    assert NOT_EVIDENCE not in render(choosing.report(overlapping=False))
    assert NO_INCUMBENT not in render(choosing.report())
    assert NO_INCUMBENT in render(choosing.report(against="right"))
