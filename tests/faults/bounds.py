"""What each fault may cost: the one table that the tests hold the measurements to.

The times are wide, because they are held on busy machines. What is lost is not: `lost_s` is how many seconds' worth of
traffic may end neither stored nor counted, for each fault.
"""

from typing import NamedTuple


class Bound(NamedTuple):
    """See above. `statuses` are those that clients may see besides 200."""

    statuses: frozenset[str] = frozenset()
    lost_s: float = 0.0
    longest_s: float = 15.0
    answers_again_s: float = 20.0
    stores_again_s: float = 30.0
    replaced_s: float = 20.0


_BROKEN = frozenset({"connection", "cut"})
_UPSTREAM = Bound(frozenset({"502", "503", "504"}))
# What a worker has answered lies in its file before the client has the end of it.
_WITH_A_WORKER = Bound(_BROKEN)

BOUNDS = {
    "kill a worker": _WITH_A_WORKER,
    "kill the recorder": Bound(),
    "kill the main process": _WITH_A_WORKER,
    "kill all processes": _WITH_A_WORKER,
    "kill a reader of long bodies": Bound(frozenset({"503"})),
    "renew the workers": Bound(),
    "stop a worker": _WITH_A_WORKER,
    "stop the recorder": Bound(),
    "stop the main process": Bound(),
    "store locked": Bound(),
    "store locked for long": Bound(),
    "store removed": Bound(),
    "store full": Bound(),
    "store full, queue full": Bound(),
    "store read-only": Bound(),
    # A worker that starts then has no file to keep its answers in.
    "file system read-only": _WITH_A_WORKER,
    "store slow": Bound(),
    "store very slow": Bound(),
    "disk errors": Bound(),
    "one write without space": Bound(),
    "one failed write": Bound(),
    "one failed sync": Bound(),
    "clock forwards": Bound(),
    "clock backwards": Bound(),
    "upstream hangs": _UPSTREAM,
    "upstream resets": _UPSTREAM,
    "upstream breaks off": Bound(_UPSTREAM.statuses | {"cut"}),
    "upstream sends garbage": _UPSTREAM,
    "upstream drips": Bound(),
    "few descriptors": Bound(_BROKEN),
    # A worker that is refused memory in the middle of keeping an answer.
    "little memory": Bound(_BROKEN | {"500", "502", "503"}, lost_s=0.2),
}


def broken(one):
    """What of a measurement is beyond its bound, in words."""
    bound = BOUNDS[one.name]
    told = [
        f"clients saw {status}, {count} times"
        for status, count in one.statuses.items()
        if status != "200" and status not in bound.statuses
    ]
    seconds = {
        "the longest wait": (one.longest_s, bound.longest_s),
        "neither stored nor counted, in seconds of traffic": (one.silent_s, bound.lost_s),
        "answers again": (one.answers_again_s, bound.answers_again_s),
        "stores again": (one.stores_again_s, bound.stores_again_s),
        "processes there again": (one.replaced_s or 0.0, bound.replaced_s),
    }
    for what, (value, most) in seconds.items():
        if value is None or value > most:
            told.append(f"{what}: {'never' if value is None else f'{value:.2f}'}, at most {most:g}")
    return told
