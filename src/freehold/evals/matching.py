"""Which of the calls an answer makes is which of those expected: in any order, in the best way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Fault(NamedTuple):
    """Why one call is not the expected one: a stable code, and details. `name_right`: it calls the right function."""

    code: str
    detail: str
    name_right: bool = True


def first_unmatched(faults: Sequence[Sequence[Fault | None]]) -> Fault | None:
    """Give every expected one a partner of its own; what is in the way where that cannot be, else None.

    ``faults[expected][given]`` is None where the two fit. By augmenting paths (H. W. Kuhn, "The Hungarian method for
    the assignment problem", 1955), so that the order of neither side counts.
    """
    taken: dict[int, int] = {}  # given -> expected

    def place(wanted: int, seen: set[int]) -> bool:
        for given, fault in enumerate(faults[wanted]):
            if fault is None and given not in seen:
                seen.add(given)
                if given not in taken or place(taken[given], seen):
                    taken[given] = wanted
                    return True
        return False

    for wanted in range(len(faults)):
        if not place(wanted, set()):
            free = [fault for given, fault in enumerate(faults[wanted]) if fault and given not in taken]
            found = free or [fault for fault in faults[wanted] if fault]
            # the one of the right name says best what went wrong
            return next((fault for fault in found if fault.name_right), found[0])
    return None
