"""How many requests at once a machine is counted with: as many as fit in its memory and are answered in time."""

from __future__ import annotations

from typing import NamedTuple

from freehold.errors import UsageError
from freehold.hardware.speed import estimate
from freehold.settings import Settings
from freehold.types.cost import Traffic
from freehold.types.machine import Machine, Speed, Workload
from freehold.workflows.fit.fit import fit_sized
from freehold.workflows.fit.machine import engine_build
from freehold.workflows.fit.sizes import SizedModel

ANSWER_SECONDS = 30.0
"""How long a whole answer may take where nothing is stated: assumed, and said with every result."""


class Batch(NamedTuple):
    """Requests at once, the machine's speed with them, and why that many."""

    concurrency: int
    speed: Speed
    why: str


class MachineSpeeds:
    """The speeds of one model on one machine, by requests at once, for requests like those of `traffic`."""

    def __init__(self, sized: SizedModel, traffic: Traffic, machine: Machine, settings: Settings) -> None:
        self._sized, self._machine, self._traffic = sized, machine, traffic
        self._build = engine_build(settings)
        self.context_tokens = int(traffic.prompt_tokens + traffic.completion_tokens) + 1
        one = Workload(context_tokens=self.context_tokens, concurrency=1)
        self.most = (
            fit_sized(sized, workload=one, machine=machine, settings=settings).largest_concurrency or 1
        )

    def at(self, concurrency: int) -> Speed:
        """The estimated speed. Raises `UsageError` where the machine's rates are not known."""
        work = Workload(context_tokens=self.context_tokens, concurrency=concurrency)
        speed = estimate(self._sized.shape, self._sized.bytes, work, self._machine, build=self._build)
        if speed is None:
            raise UsageError(
                f"how fast {self._machine.name} is, is not known",
                hint="give its bandwidth in a machine file, or measure: freehold bench-model",
            )
        return speed

    def within(self, seconds: float) -> Batch:
        """The largest batch that fits in memory and whose answers take at most that long at the slow end of the range;
        the quickest one where all take longer.

        Raises `UsageError` for a time that is not above 0, and where the machine's rates are not known.
        """
        if not seconds > 0:
            raise UsageError(f"an answer within {seconds:g} seconds makes no sense, expected above 0")
        # The estimate's slow end is not monotone at its beginning: a device is not filled by a request or two.
        counts = [1 << power for power in range(self.most.bit_length())]
        in_time = [count for count in counts if self._seconds(count) <= seconds]
        if not in_time:
            quickest = min(counts, key=self._seconds)
            least = self._seconds(quickest)
            why = f"an answer takes {least:,.0f} s however few are asked, more than the {seconds:g} s wanted"
            return Batch(quickest, self.at(quickest), why)
        low, high = in_time[-1], min(self.most, 2 * in_time[-1] - 1)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._seconds(middle) <= seconds else (low, middle - 1)
        bound = "fit in its memory" if low == self.most else f"are answered within {seconds:g} s each"
        return Batch(low, self.at(low), f"the most that {bound}")

    def _seconds(self, concurrency: int) -> float:
        return answer_seconds(self._traffic, self.at(concurrency))


def answer_seconds(traffic: Traffic, speed: Speed) -> float:
    """What one answer takes in a full batch at the slow end of the range: its uncached prompt is read, then each of its
    tokens is written in turn with those of the others."""
    prompt = float(traffic.prompt_tokens - traffic.cached_prompt_tokens)
    written = float(traffic.completion_tokens - traffic.reasoning_tokens)
    each = speed.decode_all_tokens_per_second[0] / speed.concurrency
    return prompt / speed.prefill_tokens_per_second[0] + written / each
