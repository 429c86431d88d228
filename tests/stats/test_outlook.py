import pytest
from tests.stats.conftest import counted, run


def test_needed_n_is_never_below_what_a_promote_needs():
    result = run([(0.5, 0.5 + 0.001 * (i % 3)) for i in range(12)], margin=0.15)
    assert result.verdict == "hold"
    assert result.needed_n == 30


def test_what_this_n_can_show_shrinks_with_it():
    few, many = (run(counted(both=n - n // 10, wins=n // 20, losses=n // 20)) for n in (100, 1600))
    assert few.smallest_detectable == pytest.approx(4 * many.smallest_detectable)
    assert run(counted(both=1)).smallest_detectable is None
