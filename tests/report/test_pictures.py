import re

from tests.report import sample_report as sample

from freehold.report.pictures import LONGEST_LABEL, _shown_label, curve, interval


def test_pictures_of_extremes_stay_inside():
    for low, middle, high in ((-1.0, -0.9, -0.5), (0.0, 0.0, 0.0), (0.2, 0.5, 0.9), (-0.0001, 0, 0.0001)):
        svg = interval(sample.comparison(ci_low=low, difference=middle, ci_high=high))
        assert all(-1 <= float(x) <= 641 for x in re.findall(r'(?:x1|x2|cx)="([-\d.]+)"', svg))
    assert curve([(1, 0.5)]) == ""
    assert "polyline" in curve([(0, 0.0), (1, 0.0)])


def test_long_names_of_one_family_are_told_apart():
    names = [
        f"sentence-transformers/all-MiniLM-L6-v2 · encoder (tuned){more}" for more in ("", ", mixture" * 3)
    ]
    first, second = map(_shown_label, names)
    assert first == "all-MiniLM-L6-v2 · encoder (tuned)"
    assert second.endswith(", mixture") and len(second) <= LONGEST_LABEL and second != first
    assert _shown_label("org/short") == "org/short"
