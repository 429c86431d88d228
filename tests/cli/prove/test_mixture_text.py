import pytest
from tests.report.sample_mixture import mixture, refused

from freehold.cli.prove.mixture_text import curve_lines, show_curves, show_mixture


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (mixture(), "PROMOTE WITH DEFERRAL"),
        (mixture(losses=100), "REJECT"),
        (refused(), "NO MIXTURE"),
        (mixture(comparison=None, share=None, refused="spent"), "NOT LOOKED AT"),
    ],
)
def test_the_outcome_is_said_first(capsys, made, said):
    show_mixture(made)
    assert capsys.readouterr().out.startswith(said)


def test_the_sentence_and_what_to_do_next(capsys):
    show_mixture(mixture())
    out = capsys.readouterr().out
    assert "With 97.5% confidence your users get at most 3 points less than today, and 50% of" in out
    assert "next: freehold rollout start" in out and "A note <of> ours." in out


def test_a_harmed_slice_is_named(capsys):
    show_mixture(mixture(losses=60))
    assert "language" in capsys.readouterr().out


def test_curves_fit_80_columns():
    lines = list(curve_lines(mixture().curves[0], 0.03))
    assert len(lines) >= 10 and max(map(len, lines)) <= 80
    assert sum(line.startswith(">") for line in lines) == 1 and all("●" in line for line in lines[2:])


def test_a_curve_that_gave_none_says_why(capsys):
    show_curves(refused(), every=True)
    assert "none of its thresholds was chosen" in capsys.readouterr().out
    show_curves(mixture(curves=(), best=None), every=False)
    assert "confidence" in capsys.readouterr().out
