"""Comparisons: the fields of a result, with names."""

import msgspec
import pytest

from freehold.types.evaluation import Comparison, PairedResult

FIELDS = {
    "n": 10,
    "n_items": 10,
    "n_groups": None,
    "unscored": {},
    "incumbent_mean": 0.9,
    "candidate_mean": 0.8,
    "difference": -0.1,
    "ci_low": -0.2,
    "ci_high": 0.0,
    "level": 0.95,
    "method": "newcombe",
    "margin": 0.02,
    "alpha": 0.025,
    "p_noninferiority": 0.4,
    "p_exact": None,
    "a_only": 2,
    "b_only": 1,
    "p_mcnemar": 0.6,
    "smallest_detectable": 0.1,
    "needed_n": None,
    "verdict": "hold",
    "reasons": ["too_few"],
}


def test_a_comparison_is_the_result_with_names_and_notes_before_its_own():
    result = msgspec.convert(FIELDS | {"notes": ["own"]}, PairedResult)
    comparison = Comparison.of(
        result, id="c", task="triage", incumbent="gpt", candidate="open", notes=("first",)
    )
    assert comparison.notes == ("first", "own")
    assert (comparison.id, comparison.key, comparison.incumbent) == ("c", "c", "gpt")
    own = msgspec.structs.asdict(result) | {"notes": comparison.notes}
    assert {name: getattr(comparison, name) for name in own} == own


def test_a_comparison_without_a_name_is_no_comparison():
    with pytest.raises(TypeError, match="candidate"):
        Comparison.of(msgspec.convert(FIELDS, PairedResult), id="c", task="t", incumbent="gpt")


def test_comparisons_stored_before_some_numbers_were_known_are_read():
    stored = msgspec.json.encode(
        FIELDS | {"id": "c", "task": "triage", "incumbent": "gpt", "candidate": "open"}
    )
    read = msgspec.json.decode(stored, type=Comparison)
    assert (read.p_reject, read.p_sign_flip, read.margin_excluded) == (None, None, None)
