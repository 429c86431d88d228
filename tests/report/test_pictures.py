import re

from tests.report import sample_report as sample

from freehold.report.pictures import curve, interval


def test_pictures_of_extremes_stay_inside():
    for low, middle, high in ((-1.0, -0.9, -0.5), (0.0, 0.0, 0.0), (0.2, 0.5, 0.9), (-0.0001, 0, 0.0001)):
        svg = interval(sample.comparison(ci_low=low, difference=middle, ci_high=high))
        assert all(-1 <= float(x) <= 641 for x in re.findall(r'(?:x1|x2|cx)="([-\d.]+)"', svg))
    assert curve([(1, 0.5)]) == ""
    assert "polyline" in curve([(0, 0.0), (1, 0.0)])
