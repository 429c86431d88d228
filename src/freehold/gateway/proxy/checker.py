"""A worker's side of the processes that check answers."""

from __future__ import annotations

import msgspec

from freehold.bounded.pool import BoundedPool, OutOfBoundsError
from freehold.gateway.messages import ApiKind
from freehold.gateway.proxy.structured_output import ContractViolation, OutputContract
from freehold.types.endpoint import Endpoint

CPU_S = 0.25
"""A check is given this much processor time; 50 ms are far more than an honest one takes."""
_WALL_S = 2.0
_MEMORY_BYTES = 1024 * 1024 * 1024


class AnswerChecker:
    """Asks whether answers meet their contracts."""

    def __init__(self) -> None:
        self._pool = BoundedPool("freehold.gateway.proxy.checking")

    async def violation(
        self, kind: ApiKind, endpoint: Endpoint, contract: OutputContract, answer: bytes, *, streamed: bool
    ) -> ContractViolation | None:
        """Why an answer breaks its contract, None where it does not; undecided where that took too much."""
        # As `checking.ContractCheck`, whose module holds a library that a worker need not load.
        try:
            check = msgspec.msgpack.encode((kind, endpoint, streamed, contract))
            (found,) = await self._pool.run(
                "violation", [check, answer], cpu_s=CPU_S, wall_s=_WALL_S, memory_bytes=_MEMORY_BYTES
            )
        except OverflowError:
            return ContractViolation("the request's schema has a number of more than 64 bits", undecided=True)
        except OutOfBoundsError:
            return ContractViolation("it could not be checked in time", undecided=True)
        return msgspec.msgpack.decode(found, type=ContractViolation | None)

    def close(self) -> None:
        self._pool.close()
