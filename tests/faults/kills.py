"""Kill one process after the other at random moments, and look whether anything that was answered is missing.

Rounds of `ROUND` kills, each with a gateway and a store of its own, so that what is lost is known to be of one round
and a round can be had again: its seed is the run's and its number. The next kill does not wait until all is as before.
"""

import contextlib
import itertools
import shutil
import time
from collections import Counter
from typing import NamedTuple

import psutil
from tests.faults import upstream as answers
from tests.faults.load import Clients
from tests.faults.measure import SETTINGS, settle
from tests.faults.measured_world import MeasuredWorld
from tests.faults.table import kill_reader
from tests.gateway.loopback import eventually

ROUND = 100
_MOST_PAUSE_S = 0.8
# After a kill of the main process a new one starts, then a recorder: on a busy machine that took over three seconds.
_SETTLED_S = 15.0
# Long enough for a reader process of their own, which is one of those that are killed.
_LOAD = {"long_every": 40, "long_bytes": 300_000}
_VICTIMS = {
    "a worker": (8, lambda world: world.kill("worker")),
    "the recorder": (6, lambda world: world.kill("recorder")),
    "a reader": (2, kill_reader),
    "the main process": (3, MeasuredWorld.kill_main),
    "all at once": (1, MeasuredWorld.kill_all),
}


class Kills(NamedTuple):
    """What came of a round, or of all. `victims` and `statuses` are counts; `missing` answers have no trace in the
    store, `counted` is what ``/metrics`` says was dropped or lost. Seconds."""

    victims: Counter
    statuses: Counter
    answered: int
    missing: int
    counted: int
    longest_s: float
    took_s: float

    @property
    def kills(self):
        return self.victims.total()

    @property
    def silent(self):
        """Neither stored nor counted."""
        return max(0, self.missing - self.counted)

    def __add__(self, other):
        return Kills(
            *(mine + others for mine, others in zip(self[:5], other[:5], strict=True)),
            longest_s=max(self.longest_s, other.longest_s),
            took_s=self.took_s + other.took_s,
        )


NONE = Kills(Counter(), Counter(), 0, 0, 0, 0.0, 0.0)


def rounds(times, *, seed, folder, upstream, first=1):
    """The results of rounds, one after the other, until there were `times` kills; the first is the round `first`."""
    done = 0
    for number in itertools.count(first):
        if done >= times:
            return
        own = folder / f"round-{number}"
        own.mkdir()
        yield kill_round(min(ROUND, times - done), seed=f"{seed}/{number}", folder=own, upstream=upstream)
        done += ROUND
        shutil.rmtree(own, ignore_errors=True)


def kill_round(times, *, seed, folder, upstream):
    """So many kills of one gateway under load."""
    upstream.reset()
    upstream.answer = answers.healthy
    began_s, victims = time.monotonic(), Counter()
    names = list(_VICTIMS)
    weights = [weight for weight, _ in _VICTIMS.values()]
    with MeasuredWorld(folder, upstream, seed=seed, **SETTINGS) as world:
        with Clients(world.config.port, seed=seed, **_LOAD) as clients:
            eventually(world.stored)
            for _ in range(times):
                upstream.seen.clear()
                time.sleep(world.random.uniform(0.0, _MOST_PAUSE_S))
                name = world.random.choices(names, weights)[0]
                with contextlib.suppress(psutil.NoSuchProcess):  # it ended by itself, or by the last kill
                    _VICTIMS[name][1](world)
                victims[name] += 1
        outcomes = clients.outcomes
        answered = {one.trace_id for one in outcomes if one.is_answered}
        settle(world, answered, settled_s=_SETTLED_S)
        counted = world.counted()
        missing = answered - (world.stored() or set())
    return Kills(
        victims=victims,
        statuses=Counter(str(one.status) for one in outcomes),
        answered=len(answered),
        missing=len(missing),
        counted=counted,
        longest_s=max(one.waited_s for one in outcomes),
        took_s=time.monotonic() - began_s,
    )
