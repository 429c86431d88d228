"""Each fault once, held to the table of bounds. `python -m tests.faults` does them at length."""

from collections import Counter

import pytest
from tests.faults import kills, shim
from tests.faults.bounds import BOUNDS, broken
from tests.faults.measure import Measured, measure
from tests.faults.page import kills_sentence
from tests.faults.table import FAULTS
from tests.gateway.loopback import _upstream, eventually, upstream  # noqa: F401

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


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(shim.why_not() is not None, reason=str(shim.why_not()))
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_costs_no_more_than_its_bound(upstream, tmp_path, name):  # noqa: F811
    measured = measure(name, seed=SEED, times=1, folder=tmp_path, upstream=upstream)
    assert measured.answered > 20, "there was traffic"
    assert broken(measured) == []
    assert (measured.failed_calls > 0) == (name in DISK), "the fault happened"
    assert measured.replaced_s is not None or name not in REPLACED


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(shim.why_not() is not None, reason=str(shim.why_not()))
def test_kills_at_random_moments_cost_no_trace(upstream, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(kills, "ROUND", 4)
    both = list(kills.rounds(6, seed=SEED, folder=tmp_path, upstream=upstream))
    assert [one.kills for one in both] == [4, 2]
    total = kills.NONE + both[0] + both[1]
    assert total.answered > 20 and total.silent == 0


def test_what_kills_come_to_is_told_in_a_sentence():
    one = kills.Kills(
        Counter({"a worker": 3, "the recorder": 1}), Counter({"200": 90, "cut": 2}), 90, 5, 4, 1.5, 120.0
    )
    assert one.silent == 1 and (one + one).silent == 2 and (kills.NONE + one) == one
    said = kills_sentence(one)
    assert said.startswith(
        "4 kills (a worker 3, the recorder 1) in 2 minutes: 90 answers, of which 5 are not stored"
    )
    assert "neither: 1. Not answered: 2 × cut. The longest wait was 1.5 s." in said


def test_each_fault_has_a_bound():
    assert list(BOUNDS) == list(FAULTS)


GOOD = Measured(
    name="store full",
    times=2,
    statuses={"200": 100},
    longest_s=0.1,
    answered=100,
    missing=7,
    counted=7,
    silent=0,
    silent_s=0.0,
    answers_again_s=0.0,
    stores_again_s=0.2,
    replaced_s=None,
    failed_calls=3,
)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"statuses": {"200": 100, "502": 3}}, "clients saw 502, 3 times"),
        ({"silent_s": 0.01}, "neither stored nor counted, in seconds of traffic: 0.01, at most 0"),
        ({"stores_again_s": None}, "stores again: never, at most 30"),
        ({"longest_s": 16.0}, "the longest wait: 16.00, at most 15"),
        ({"replaced_s": 21.0}, "processes there again: 21.00, at most 20"),
    ],
)
def test_what_is_beyond_a_bound_is_told(changes, words):
    assert broken(GOOD) == []
    assert broken(GOOD._replace(**changes)) == [words]
