"""Each fault once, held to the table of bounds. `python -m tests.faults` does them at length."""

import pytest
from tests.faults import kills, shim
from tests.faults.bounds import BOUNDS, broken
from tests.faults.measure import measure
from tests.faults.table import FAULTS
from tests.gateway.loopback import _upstream, upstream  # noqa: F401

SEED = 13
DISK = {
    "store full",
    "store full, queue full",
    "store read-only",
    "file system read-only",
    "disk errors",
    "one write without space",
    "one failed write",
    "one failed sync",
}
REPLACED = {"kill a worker", "kill the recorder", "renew the workers", "stop a worker", "stop the recorder"}


@pytest.mark.process
@pytest.mark.timeout(300)
@pytest.mark.skipif(shim.why_not() is not None, reason=str(shim.why_not()))
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_costs_no_more_than_its_bound(upstream, tmp_path, name):  # noqa: F811
    measured = measure(name, seed=SEED, times=1, folder=tmp_path, upstream=upstream)
    assert measured.answered > 20, "there was traffic"
    assert broken(measured) == []
    assert (measured.failed_calls > 0) == (name in DISK), "the fault happened"
    assert measured.replaced_s is not None or name not in REPLACED


@pytest.mark.process
@pytest.mark.timeout(300)
@pytest.mark.skipif(shim.why_not() is not None, reason=str(shim.why_not()))
def test_kills_at_random_moments_cost_no_trace(upstream, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(kills, "ROUND", 4)
    both = list(kills.rounds(6, seed=SEED, folder=tmp_path, upstream=upstream))
    assert [one.kills for one in both] == [4, 2]
    total = kills.NONE + both[0] + both[1]
    assert total.answered > 20 and total.silent == 0


def test_each_fault_has_a_bound():
    assert list(BOUNDS) == list(FAULTS)
