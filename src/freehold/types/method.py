"""The methods by which a model is made a candidate, and what promotion asks of each."""

from __future__ import annotations

from typing import Literal

from freehold.types.record import Record

MethodName = Literal["adapter", "whole", "as_is"]


class MethodKind(Record, frozen=True, kw_only=True):
    """What is true of a method, whichever model it is used on."""

    name: MethodName
    parity: str | None = None
    """The reason a verdict must carry before promotion: that what is served is what was made. None where nothing is
    made, so that there is nothing to compare."""


METHOD_KINDS: dict[MethodName, MethodKind] = {
    kind.name: kind
    for kind in (
        MethodKind(name="adapter", parity="parity_ok"),
        MethodKind(name="whole", parity="parity_ok"),
        MethodKind(name="as_is"),
    )
}
