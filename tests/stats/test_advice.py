import pytest
from tests.stats.conftest import counted, run


def test_self_noise_gives_the_power_ceiling():
    result = run(counted(both=190, wins=5, losses=5), margin=0.02, self_noise=0.2)
    assert result.power_ceiling < 0.2
    assert any("against itself" in note for note in result.notes)


def test_needed_n_is_never_below_what_a_promote_needs():
    result = run([(0.5, 0.5 + 0.001 * (i % 3)) for i in range(12)], margin=0.1)
    assert result.verdict == "hold"
    assert result.needed_n == 30


def test_the_deciding_reason_comes_before_everything_but_uneven_gaps():
    notes = run(counted(both=40)).notes
    assert notes[0].startswith("The interval reaches below minus the margin")
    assert "Items treated as independent: no grouping was declared." in notes
    uneven = run(counted(both=40) + [(1.0, None)] * 12).notes
    assert uneven[0].startswith("Unscored items fall unevenly")
    assert uneven[2].startswith("12 of 52 pairs are unscored")


def test_nothing_scored_has_nothing_more_to_say():
    assert run([(None, 1.0)]).notes[-1].startswith("No number can be computed")
    assert len(run([(None, 1.0)]).notes) == 2


def test_a_hold_says_how_many_pairs_would_settle_it():
    result = run(counted(both=90, wins=3, losses=3), margin=0.05)
    assert result.verdict == "hold"
    assert any(
        note.startswith(f"About {result.needed_n} pairs ({result.needed_n - 96} more)")
        for note in result.notes
    )
    hopeless = run(counted(both=60, losses=40), margin=0.35)
    assert any("more items will probably not help" in note for note in hopeless.notes)


def test_a_margin_wider_than_the_incumbents_errors_is_pointed_out():
    result = run(counted(both=990, neither=10), margin=0.05)
    assert result.error_ratio == pytest.approx((0.01 + 0.05) / 0.01)
    assert any("allows 6.0 times the incumbent's errors (1.00% now)" in note for note in result.notes)
    perfect = run(counted(both=100))
    assert perfect.error_ratio is None
    assert any("right on every item" in note for note in perfect.notes)


def test_clusters_are_named_with_what_ignoring_them_would_give():
    result = run(counted(both=190, losses=10), clusters=[str(i // 5) for i in range(200)])
    assert "200 pairs in 40 clusters: the clusters are the independent units." in result.notes
    assert any(note.startswith("Treating the items as independent would give [") for note in result.notes)


def test_what_this_n_can_show_shrinks_with_it():
    few, many = (run(counted(both=n - n // 10, wins=n // 20, losses=n // 20)) for n in (100, 1600))
    assert few.smallest_detectable == pytest.approx(4 * many.smallest_detectable)
    assert run(counted(both=1)).smallest_detectable is None
