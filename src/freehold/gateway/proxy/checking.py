"""Whether an answer meets its contract, decided in a process that a limit of time ends.

A schema is the client's, and a pattern in it may run for longer than the universe; on the loop it would stop everything
else. What could not be decided in time counts as broken: in doubt the incumbent answers.
"""

from __future__ import annotations

from collections.abc import Sequence

# Not late as elsewhere: the processes that check are forked from one that has it.
import jsonschema  # noqa: F401
import msgspec

from freehold.gateway.messages import ApiKind
from freehold.gateway.proxy.structured_output import (
    ContractViolation,
    OutputContract,
    answer_of,
    violation_of,
)
from freehold.types.endpoint import Endpoint


class ContractCheck(msgspec.Struct, frozen=True, array_like=True):
    """An answer to be checked: which API asked and answered, and what was asked for."""

    kind: ApiKind
    endpoint: Endpoint
    streamed: bool
    contract: OutputContract


def violation(parts: Sequence[bytes]) -> list[bytes]:
    """The job: the violation as msgpack, null where there is none."""
    check = msgspec.msgpack.decode(parts[0], type=ContractCheck)
    answer = answer_of(check.kind, check.endpoint, parts[1], streamed=check.streamed)
    found: ContractViolation | None = violation_of(check.contract, answer)
    return [msgspec.msgpack.encode(found)]


JOBS = {"violation": violation}
