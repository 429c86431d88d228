import msgspec
from tests.report import sample_report as sample
from tests.report.sample_full import candidate
from tests.report.sample_mixture import mixture

from freehold.report.risks import by_drop, calibration, ids, worst_slice


def test_the_worst_slice_is_one_that_was_tested():
    assert worst_slice(candidate()).name == "language = de"
    assert worst_slice(candidate(comparison=None)) is None


def test_slices_stand_by_their_drop_and_those_too_small_last():
    names = [part.name.partition(" = ")[2] for part in by_drop(tuple(reversed(sample.comparison().slices)))]
    assert names[:2] == ["de", "en"]


def test_calibration_is_told_where_it_was_measured():
    assert calibration(candidate()).startswith("not measured")
    assert "calibration error" in calibration(candidate(mixture=mixture()))


def test_the_records_of_the_risks_are_named():
    assert ids(candidate()) == ["c" * 32, "8" * 32]
    assert ids(msgspec.structs.replace(candidate(), comparison=None, verdict=None)) == []
