"""Once a key existed, no fault lets in a client without one."""

import json
from datetime import UTC, datetime

import pytest
from tests.faults.world import FaultWorld
from tests.gateway.loopback import _upstream, eventually, upstream  # noqa: F401

from freehold.store import open_store
from freehold.workflows.shift import keys

pytestmark = pytest.mark.process

SEED = 13


def let_in(world, seconds):
    """How often a client without a key was let in, asking again and again."""
    answers = world.ask_for(seconds)
    return sum(times for status, times in answers.items() if isinstance(status, int) and status < 300)


def prepared(world):
    """A key that was made, and copies of the store from before and after."""
    revoked = world.add_key("gone")
    world.copy_store("older")
    with open_store(world.config.store_url) as store:
        keys.revoke(store, "gone", at=datetime.now(UTC))
    key = world.add_key("app")
    world.copy_store("newest")
    world.answers(200, key=key)
    world.answers(401)
    return key, revoked


@pytest.mark.timeout(900)
def test_no_fault_lets_in_a_client_without_a_key(upstream, tmp_path):  # noqa: F811
    with FaultWorld(tmp_path, upstream, seed=SEED, workers=2) as world:
        key, revoked = prepared(world)
        for name in world.random.sample(sorted(world.faults), len(world.faults)):
            world.inject(name)
            assert let_in(world, 0.6) == 0, name
            world.heal("newest")
        world.answers(200, key=key)
        world.answers(401, key=revoked)  # both workers may not be back yet


def test_an_older_store_is_refused_until_it_is_accepted(upstream, tmp_path):  # noqa: F811
    with FaultWorld(tmp_path, upstream, seed=SEED) as world:
        key, revoked = prepared(world)
        world.inject("store replaced by an older copy")
        world.answers(503, key=key)
        assert world.ask(key=revoked) == 503, "it was revoked after this copy was made"
        assert world.ask(path="/ready", method="GET") == 503
        assert world.ask(path="/health", method="GET") == 200
        (tmp_path / "keys.json").unlink()
        world.answers(401)  # the gateway sees keys, and writes the file again
        assert json.loads((tmp_path / "keys.json").read_text())["changes"] >= 1


def test_a_worker_beside_a_stuck_recorder_goes_on_with_the_right_keys(upstream, tmp_path):  # noqa: F811
    with FaultWorld(tmp_path, upstream, seed=SEED) as world:
        key, revoked = prepared(world)
        before = {process.pid for process in world.processes("worker")}
        world.inject("recorder stuck, worker killed")
        eventually(lambda: {p.pid for p in world.processes("worker")} - before)
        world.answers(200, key=key)
        assert world.ask() == 401 and world.ask(key=revoked) == 401
        # A recorder that is stuck for good is replaced.
        world.answers(200, path="/ready", method="GET", within_s=30)
        world.resume_all()


def test_only_this_user_may_read_what_is_left_outside_the_store(upstream, tmp_path):  # noqa: F811
    with FaultWorld(tmp_path, upstream, seed=SEED) as world:
        prepared(world)
        assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600
