from datetime import date

import msgspec
import pytest
from tests.report import choosing
from tests.report import sample_report as sample
from tests.report.sample_full import candidate, full, standing

from freehold.report import first_screen
from freehold.report.first_screen import MOST_ROWS, interval_rows, one_sentence, tiles, validity, would_change


def lead(**comparison):
    k = msgspec.structs.replace(sample.comparison(), **comparison)
    return candidate(comparison=k)


def test_one_sentence_has_outcome_difference_ends_margin_and_n():
    assert one_sentence(full(), candidate()) == (
        "Hold: SmolLM2-135M-Instruct is 4.1 points below rented-1 (95% interval −7.5 to −0.8); you accept a drop of 3; "
        "246 held-out samples."
    )
    equal = one_sentence(full(), lead(difference=0.0004, ci_low=-0.01, ci_high=0.01))
    assert "is level with rented-1" in equal


def test_without_an_interval_the_longer_sentence_is_told():
    assert "has not been compared yet" in one_sentence(full(), candidate(comparison=None))


def test_three_tiles_answer_from_records():
    may, fits, money = tiles(full(), candidate())
    assert (may.answer, may.detail, may.records) == ("Yes, with duties", "Apache-2.0; 1 duty", ("a" * 32,))
    assert (fits.answer, fits.records) == ("Yes", ("f" * 32,))
    assert (money.answer, money.records) == ("Less than today", ("5" * 32,))
    assert money.detail == "a month: rented $120, held $18 to $30"


def test_what_is_not_known_says_the_command_that_tells():
    unknown = full(
        standing=standing(cost=None, cost_why_not="no price", cost_command="freehold cost --usd-per-hour N")
    )
    may, fits, money = tiles(unknown, candidate(ruling=None, fit=None))
    assert (may.command, fits.command) == ("freehold license", "freehold fit")
    assert (money.answer, money.detail, money.command) == (
        "not known",
        "no price",
        "freehold cost --usd-per-hour N",
    )
    assert tiles(full(standing=None), None)[2].answer == "not known"


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({}, "About 1,154 more held-out samples would settle it."),
        (
            {"needed_n": None, "ci_low": -0.01, "reasons": ("slice_harm",)},
            "What holds it is not the difference: a declared slice is harmed.",
        ),
        ({"needed_n": None}, "A candidate that is 4.5 points better on such samples would be promoted."),
        (
            {"verdict": "promote", "ci_low": -0.02, "difference": 0.0},
            "A margin of 2.0 points or less would have made it a hold.",
        ),
        (
            {"verdict": "promote", "ci_low": 0.01, "difference": 0.02},
            "No margin, however small: it is shown to be better.",
        ),
    ],
)
def test_what_would_change_it_is_computed_from_its_figures(changed, sentence):
    assert would_change(full(), lead(**changed))[0].sentence == sentence


def test_it_holds_until_something_ends():
    assert validity(full()) == "14 January 2027: rented-1 is shut down."
    assert "no longer holds: quality: x" in validity(full(standing=standing(invalid=("quality: x",))))
    assert "freehold report writes it again" in validity(full(standing=None))
    assert "No end is known" in validity(full(standing=standing(valid_until=None)))
    assert isinstance(standing().valid_until, date)


def test_the_picture_holds_every_proof_and_few_rows():
    assert [row.kind for row in interval_rows(full())] == ["proof", "proof"]
    rows = interval_rows(choosing.report())
    assert rows[-1].kind == "proof" and len(rows) <= MOST_ROWS
    assert first_screen.decisive(candidate()).id == "c" * 32
