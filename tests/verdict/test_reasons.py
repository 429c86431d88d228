import pytest
from tests.stats.conftest import counted
from tests.stats.conftest import run as compared

from freehold.stats.outlook import SETTLED_BY_ITEMS
from freehold.verdict.reasons import REASONS, WAYS_OUT, noted


def run(*pairs, **options):
    return noted(compared(*pairs, **options))


def test_self_noise_gives_the_power_ceiling():
    result = run(counted(both=190, wins=5, losses=5), margin=0.02, self_noise=0.2)
    assert result.power_ceiling < 0.2
    assert any("against itself" in note for note in result.notes)


def test_the_deciding_reason_comes_before_everything_but_uneven_gaps():
    notes = run(counted(both=40)).notes
    assert notes[0].startswith("The interval reaches below minus the margin")
    assert "Items treated as independent: no group was declared that holds two of them." in notes
    uneven = run(counted(both=40) + [(1.0, None)] * 12).notes
    assert uneven[0].startswith("Unscored items fall unevenly")
    assert uneven[2].startswith("12 of 52 pairs are unscored")


def test_nothing_scored_has_nothing_more_to_say():
    assert run([(None, 1.0)]).notes[-1].startswith("No number can be computed")
    assert len(run([(None, 1.0)]).notes) == 2


def test_a_hold_says_how_many_pairs_would_settle_it():
    result = run(counted(both=90, wins=3, losses=3), margin=0.05)
    assert result.verdict == "hold"
    (asked,) = [note for note in result.notes if "would settle it" in note]
    assert asked.startswith(f"About {result.needed_n} held-out items ({result.needed_n - 96} more)")
    assert asked.endswith("They are for the proof; training samples do not count.")


HELD = {
    "too few": (counted(both=90, wins=3, losses=3), {}),
    "a little behind": (counted(both=180, wins=3, losses=9), {}),
    "measurably worse": (counted(both=380, losses=16), {}),
    "as far behind as the margin": (counted(both=60, losses=40), {"margin": 0.35}),
    "looked at before": (counted(both=990, wins=5, losses=5), {"looks": 2}),
    "looked at before, and too few": (counted(both=90, wins=3, losses=3), {"looks": 2}),
    "looked at before, and behind": (counted(both=180, wins=3, losses=15), {"looks": 2, "margin": 0.055}),
    "unscored": (counted(both=290, wins=5, losses=5) + [(1.0, None)] * 30, {}),
    "harmed slice": (
        counted(both=960, losses=40),
        {"margin": 0.08, "slices": {"language": ["de" if i >= 900 else "en" for i in range(1000)]}},
    ),
    "one large cluster": (
        counted(both=400),
        {"clusters": ["big" if i < 120 else str(i) for i in range(400)], "whole_units": True},
    ),
    "margin above the incumbent": (counted(both=2, neither=98), {"margin": 0.05}),
    "few clusters": (counted(both=190, losses=10), {"clusters": [str(i // 5) for i in range(200)]}),
    "not binary": ([(0.5, 0.5 + 0.1 * (i % 3 - 1)) for i in range(40)], {"margin": 0.01}),
    "not binary, and behind": ([(0.5, 0.3 + 0.1 * (i % 3 - 1)) for i in range(8)], {"margin": 0.19}),
}


@pytest.mark.parametrize("case", HELD)
def test_no_text_says_two_things_at_once(case):
    """ "More items will probably not help" had been followed by how many would settle it."""
    pairs, options = HELD[case]
    result = run(pairs, **options)
    assert result.verdict == "hold", result.reasons
    text = "\n".join(result.notes)
    settled, hopeless = "would settle it" in text, "will probably not help" in text
    others = [reason for reason in result.reasons if reason in WAYS_OUT]
    assert settled + hopeless + bool(others) <= 1, text
    assert settled == (result.needed_n is not None), "the table of numbers and the sentences say the same"
    assert all(WAYS_OUT[reason] in text for reason in others), "each obstacle has a way out"
    if settled:
        assert result.needed_n > result.n
    for note in result.notes:
        if " more" in note and ("settle" in note or "help" in note):
            assert "held-out items" in note and "training samples" in note


def test_each_obstacle_is_settled_by_items_or_has_another_way_out():
    decided = {"superior", "noninferior", "noninferior_but_measurably_worse", "worse_than_margin"}
    assert SETTLED_BY_ITEMS | set(WAYS_OUT) | decided == set(REASONS)
    assert not SETTLED_BY_ITEMS & set(WAYS_OUT)


def test_a_margin_wider_than_the_incumbents_errors_is_pointed_out():
    result = run(counted(both=990, neither=10), margin=0.05)
    assert result.error_ratio == pytest.approx((0.01 + 0.05) / 0.01)
    assert any("allows 6.0 times the incumbent's errors" in note for note in result.notes)
    perfect = run(counted(both=100))
    assert perfect.error_ratio is None
    assert any("right on every item" in note for note in perfect.notes)


def test_clusters_are_named_with_what_ignoring_them_would_give():
    result = run(counted(both=190, losses=10), clusters=[str(i // 5) for i in range(200)])
    assert "200 pairs in 40 clusters: the clusters are the independent units." in result.notes
    assert any(note.startswith("Treating the items as independent would give [") for note in result.notes)
