import numpy as np
from tests.stats.conftest import counted, run


def test_a_harmed_slice_vetoes_and_is_listed_first():
    pairs = counted(both=900, wins=60) + counted(both=60, losses=40)
    result = run(pairs, margin=0.02, slices={"language": ["en"] * 960 + ["de"] * 100})
    assert result.verdict == "hold"
    assert result.reasons == ("slice_harm",)
    assert [part.name for part in result.slices] == ["language=de", "language=en"]
    assert result.slices[0].harmed


def test_small_slices_are_listed_not_tested():
    result = run(counted(both=100), slices={"language": ["en"] * 90 + ["it"] * 9 + [None]})
    small = next(part for part in result.slices if part.name == "language=it")
    assert (small.n, small.p_harm, small.note) == (9, None, "too small to test")


def test_clustered_slices_count_units_and_one_unit_says_nothing():
    pairs = counted(both=900, wins=10) + counted(losses=60, both=30)
    values = ["en"] * 910 + ["de"] * 90
    alone = run(pairs, slices={"language": values})
    together = run(
        pairs,
        slices={"language": values},
        clusters=[f"u{i}" for i in range(910)] + ["one user"] * 90,
        whole_units=True,
    )
    assert {part.name: part.harmed for part in alone.slices} == {"language=de": True, "language=en": False}
    lonely = next(part for part in together.slices if part.name == "language=de")
    assert (lonely.ci_low, lonely.ci_high, lonely.p_harm, lonely.harmed) == (-1.0, 1.0, 1.0, False)


def test_continuous_slices_use_t_and_the_signs_where_little_differs():
    rng = np.random.default_rng(4)
    pairs = [(0.5, 0.3 + 0.1 * float(rng.random())) for _ in range(60)] + [(0.5, 0.5)] * 40
    result = run(pairs, margin=0.02, slices={"kind": ["worse"] * 60 + ["same"] * 40})
    worse, same = (
        next(part for part in result.slices if part.name == f"kind={k}") for k in ("worse", "same")
    )
    assert worse.harmed
    assert worse.ci_low < worse.difference < worse.ci_high < 0
    assert (worse.a_only, worse.margin) == (None, 0.05)
    assert same.ci_low < 0 < same.ci_high
    assert (same.p_harm, same.harmed) == (1.0, False)


def test_a_value_of_two_fields_is_two_slices_and_unscored_items_are_in_none():
    pairs = [*counted(both=30), (1.0, None)]
    result = run(pairs, slices={"a": ["x"] * 31, "b": ["x"] * 30 + ["y"]})
    assert {part.name: part.n for part in result.slices} == {"a=x": 30, "b=x": 30}


def test_limits_lie_within_what_is_possible_and_the_largest_drop_comes_first():
    """A t interval of a few scattered scores said that a slice was −176.8 to +110.1 points worse."""
    pairs = [(1.0, 0.2), (0.4, 1.0), (0.9, 0.0)] + [(1.0, 0.9)] * 100 + [(1.0, 0.4), (0.6, 0.1)] * 12
    values = ["sv"] * 3 + ["en"] * 100 + ["de"] * 24
    found = run(pairs, margin=0.03, slices={"language": values}).slices
    assert [part.name for part in found] == ["language=de", "language=en", "language=sv"]
    assert all(-1 <= part.ci_low <= part.difference <= part.ci_high <= 1 for part in found)
    assert found[-1].note == "too small to test"
