"""A fault of each class, held to the table of bounds. `python -m tests.faults` does them all, at length."""

import pytest
from tests.faults import kills, load, shim
from tests.faults.bounds import BOUNDS, broken
from tests.faults.measure import measure
from tests.faults.table import FAULTS
from tests.gateway.loopback import _upstream, upstream  # noqa: F401

SEED = 13
DISK = {
    "store full, queue full",
    "file system read-only",
    "disk errors",
    "one failed write",
    "one failed sync",
}
OF_EACH_CLASS = (
    "kill all processes",
    "stop a worker",
    "stop the recorder",
    "store locked for long",
    "store removed",
    "store full, queue full",
    "file system read-only",
    "store very slow",
    "disk errors",
    "one failed write",
    "one failed sync",
    "clock forwards",
    "upstream hangs",
    "upstream breaks off",
    "upstream sends garbage",
    "few descriptors",
    "little memory",
)
REPLACED = {"stop a worker", "stop the recorder"}


@pytest.fixture(autouse=True)
def _fewer_requests(monkeypatch):
    """Clients that leave processor time to other tests; at length they ask all the time."""
    monkeypatch.setattr(load, "_PAUSE_S", 0.04)


@pytest.mark.process
@pytest.mark.timeout(300)
@pytest.mark.skipif(shim.why_not() is not None, reason=str(shim.why_not()))
@pytest.mark.parametrize("name", OF_EACH_CLASS)
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
