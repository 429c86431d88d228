import pytest

from freehold.errors import UsageError
from freehold.stats.binary import z_quantile
from freehold.stats.selection import selection_size


def test_enough_to_tell_good_from_worse_by_the_margin_but_a_fifth_at_most():
    wanted = (2 * z_quantile(0.1)) ** 2 * 0.05 / 0.02**2
    assert selection_size(100_000, 0.02) == pytest.approx(wanted, abs=1)
    assert selection_size(100_000, 0.02, design_effect=2) == pytest.approx(2 * wanted, abs=2)
    assert selection_size(1000, 0.02) == 200


def test_few_items():
    assert selection_size(100, 0.02) == 30
    assert selection_size(40, 0.02) == 20
    assert selection_size(0, 0.02) == 0
    assert selection_size(100_000, 0.5) == 30


@pytest.mark.parametrize(
    ("items", "more"), [(-1, {}), (10, {"margin": 0}), (10, {"discordance": 2}), (10, {"design_effect": 0.5})]
)
def test_bad_input_is_refused(items, more):
    with pytest.raises(UsageError):
        selection_size(items, **({"margin": 0.02} | more))
