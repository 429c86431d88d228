import re

import pytest
from tests.report import sample_report as sample

from freehold.report.pictures import LONGEST_LABEL, _shown_label, candidates, curve, interval
from freehold.report.selection_rows import SelectionPictureRow


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


@pytest.mark.parametrize(
    ("verdict", "said"), [("promote", "proven"), ("hold", "measured"), ("reject", "measured")]
)
def test_only_what_was_promoted_is_called_proven(verdict, said):
    row = SelectionPictureRow("org/one", "proof", -0.05, -0.02, 0.01, verdict=verdict)
    assert f"org/one, {said} on held-out samples" in candidates([row], 0.03)
