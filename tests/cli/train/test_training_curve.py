import msgspec

from freehold.cli.train.training_curve import show_curve
from freehold.types.training import CurveRun, TrainingCurve

FOUND = TrainingCurve(
    id="c", base_model="m", dataset_id="d",
    runs=tuple(
        CurveRun(samples=n, right=right, asked=200, seconds=1.0, adapter_id=f"a{n}")
        for n, right in ((100, 140), (200, 160), (400, 172), (800, 180))
    ),
    ceiling=0.95, scale=4.0, rate=0.6, fits=True, twice_samples=1600, twice_accuracy=0.915, twice_low=0.88,
    twice_high=0.94,
)  # fmt: skip


def test_points_and_forecast_are_shown(capsys):
    show_curve(FOUND)
    out = capsys.readouterr().out
    assert "               800    90.0% of 200\n" in out
    assert "             1,600    91.5% foretold, 95% interval [88.0%, 94.0%]\n" in out
    assert "about 1.5 points more" in out and "held-out items" in out


def test_points_off_a_curve_foretell_nothing(capsys):
    show_curve(msgspec.structs.replace(FOUND, fits=False))
    out = capsys.readouterr().out
    assert "nothing is foretold" in out and "1,600" not in out
