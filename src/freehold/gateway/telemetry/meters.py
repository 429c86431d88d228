"""Counters of a worker, plain numbers on the hot path; all workers' numbers are added up on request.

Each worker writes its numbers to a file of its own in the gateway's run folder once a second; whichever
worker is asked for ``/metrics`` adds the files up. The file of a worker that was replaced stays, so
counters never run backwards while the gateway runs. What a worker counted of traces is exact even if it was killed:
the recorder takes it from the worker's spool (`settle_counters`).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from bisect import bisect_left
from collections.abc import Mapping
from pathlib import Path

import msgspec

from freehold import files
from freehold.processes import RunningProcess, described, is_alive, standing

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)

_SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0)
_SHORT_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_OWN_BUCKETS = {
    "freehold_deferral_confidence": _SHARES,
    "freehold_deferral_seconds": _SHORT_S,
    "freehold_added_seconds": _SHORT_S,
}

# Names, help texts, label names of all that is counted; a test holds docs/reference/metrics.md to it.
COUNTERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "freehold_requests": ("Requests answered", ("route", "endpoint", "arm", "status")),
    "freehold_model_requests": (
        "The same by the model asked for and the key it was asked with; all but the first hundred of each are 'other'",
        ("route", "arm", "model", "key", "status"),
    ),
    "freehold_tokens": (
        "Tokens of answers that were captured, or with capture off billed to a spend cap, as the upstream counted",
        ("route", "arm", "model", "key", "direction"),
    ),
    "freehold_cost_usd": (
        "Dollars that these tokens cost, by the price stated or the maker's list",
        ("route", "arm", "model", "key"),
    ),
    "freehold_cost_unknown": (
        "Answers of the same whose cost is not known: no tokens were told, or there is no price",
        ("endpoint", "model"),
    ),
    "freehold_rollbacks": ("Rollbacks of a route since the store was made", ("route",)),
    "freehold_config_reloads": (
        "Changes of freehold.toml while it ran: in_force, waits (some of it, for the next start), refused",
        ("result",),
    ),
    "freehold_refusals": (
        "Requests refused by the gateway itself; all but the first hundred codes are 'other'",
        ("code", "path"),
    ),
    "freehold_passed_on": (
        "Requests passed on to the incumbent, that nothing here answers, by the kind of path",
        ("endpoint", "path", "status"),
    ),
    "freehold_upstream_failures": ("Tries of an endpoint that failed", ("endpoint", "kind")),
    "freehold_retries": ("Tries repeated on the same endpoint", ("endpoint",)),
    "freehold_requests_without_user": (
        "Requests of a route that is sticky by user, that named none and were assigned by their conversation",
        ("route",),
    ),
    "freehold_fallbacks": ("Requests answered by another endpoint than the first", ("route", "why")),
    "freehold_failures": (
        "Requests that the endpoint they were put to did not answer, another one may have",
        ("route", "arm", "why"),
    ),
    "freehold_client_aborts": ("Requests whose client went away before the end", ("route",)),
    "freehold_guard_events": ("What guards found", ("route", "guard", "outcome")),
    "freehold_shadows": ("Requests mirrored to a candidate", ("route", "outcome")),
    "freehold_deferrals": ("Who answered by a rule of deferral, and why", ("route", "by", "why")),
    "freehold_shadow_deferrals": (
        "What a rule of deferral would have decided of mirrored requests",
        ("route", "by", "why"),
    ),
    "freehold_preparations": (
        "Requests for a model whose requests are prepared, by what became of them",
        ("endpoint", "outcome"),
    ),
    "freehold_bills": ("Answers that were charged to a key, label or route with limits", ("outcome",)),
    "freehold_spend_usd": ("Dollars charged to a key, label or route", ("name",)),
    "freehold_uploads_evicted": ("Uploads without progress that lost their room to others", ()),
    "freehold_restarts": (
        "Processes of the gateway that ended or hung and were replaced",
        ("process", "why"),
    ),
    "freehold_requests_untold": ("Requests left out of the log or of OpenTelemetry", ()),
    "freehold_traces_captured": ("Traces handed to the recorder", ()),
    "freehold_traces_dropped": (
        "Traces there was no room for: in the queue, on the disk, in memory, or too long",
        ("why",),
    ),
    "freehold_traces_stored": ("Traces written to the store", ()),
    "freehold_traces_lost": ("Traces the store did not take", ("why",)),
    "freehold_recorder_failures": ("Failures of the recorder that nothing expected", ("what",)),
}
HISTOGRAMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "freehold_first_byte_seconds": ("Time to the first byte of the answer", ("route", "arm")),
    "freehold_request_seconds": ("Time to the end of the answer", ("route", "arm")),
    "freehold_added_seconds": (
        "Time until a request was put to its first endpoint: keys, limits and their queue, routing, preparation",
        ("route",),
    ),
    "freehold_upstream_seconds": (
        "Time from asking the endpoint that answered to the first byte that could go to the client",
        ("endpoint",),
    ),
    "freehold_deferral_confidence": ("How sure the candidate was, as a probability", ("route",)),
    "freehold_deferral_seconds": (
        "Time to the decision who answers, the candidate's own work included in a cascade",
        ("route",),
    ),
}

Labels = tuple[str, ...]
LABEL_VALUES_MAX, LABEL_LENGTH_MAX = 100, 200
OTHER = "other"


class Snapshot(msgspec.Struct):
    """All numbers of one process at one moment."""

    counters: dict[str, list[tuple[Labels, float]]] = {}
    gauges: dict[str, float] = {}
    labelled: dict[str, list[tuple[Labels, float]]] = {}
    """Gauges with labels."""
    histograms: dict[str, list[tuple[Labels, list[int], float]]] = {}
    waiting: dict[str, list[float]] = {}
    """By route, how long the requests that its candidate was given and that are not over have been open, in seconds."""
    answers: dict[str, bool] = {}
    """What the last health checks of endpoints found, for those that were checked lately."""


def buckets_of(name: str) -> tuple[float, ...]:
    """The upper edges of a histogram's buckets, the last of which is infinity and not among them."""
    return _OWN_BUCKETS.get(name, BUCKETS_S)


class _Answers(msgspec.Struct):
    """Those of one status on one way: their number, and where their seconds are counted."""

    first_byte: list[float]
    whole: list[float]
    count: int = 0


def _bounded(known: dict[str, str], name: str) -> str:
    """The label of a name that is not known yet. What clients may choose must not make a series for each choice."""
    if len(known) >= LABEL_VALUES_MAX:
        return OTHER
    label = known[name] = name if len(name) <= LABEL_LENGTH_MAX else OTHER
    return label


class Meters:
    """The numbers of this process."""

    __slots__ = (
        "_answers",
        "_codes",
        "_histograms",
        "_keys",
        "_models",
        "_waits",
        "answers",
        "candidates_requests",
        "counters",
        "held_bytes",
        "in_flight",
        "open_breakers",
        "owner",
        "stated",
    )

    def __init__(self, owner: str = "") -> None:
        # Process ids are given again: a file's name must be of one process only.
        self.owner = owner or secrets.token_hex(8)
        self.counters: dict[tuple[str, Labels], float] = {}
        self._histograms: dict[tuple[str, Labels], list[float]] = {}
        self._answers: dict[tuple[str, str, str, int, str, str], _Answers] = {}
        self._waits: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
        self._models: dict[str, str] = {}
        self._codes: dict[str, str] = {}
        self._keys: dict[str, str] = {}
        self.open_breakers: tuple[str, ...] = ()
        self.candidates_requests: dict[str, tuple[str, float]] = {}
        """By a request's id its route and when it began (`time.perf_counter`), while a candidate has it."""
        self.answers: dict[str, bool] = {}
        self.in_flight = 0
        self.held_bytes = 0
        self.stated: dict[str, float] = {}
        """Further gauges by name."""

    def count(self, name: str, *labels: str, by: float = 1) -> None:
        key = (name, labels)
        self.counters[key] = self.counters.get(key, 0) + by

    def set(self, name: str, value: float, *labels: str) -> None:
        """Take over a counter that is kept elsewhere."""
        self.counters[name, labels] = value

    def observe(self, name: str, value: float, *labels: str) -> None:
        """Count a value in a histogram: seconds, or what else its name says."""
        cells = self._cells(name, labels)
        cells[bisect_left(buckets_of(name), value)] += 1
        cells[-1] += value

    def model_label(self, model: str) -> str:
        """A model's name as a label's value: the first of them by name, the rest as one."""
        return self._models.get(model) or _bounded(self._models, model)

    def key_label(self, key: str) -> str:
        """A key's name as a label's value: the first of them by name, the rest as one."""
        return self._keys.get(key) or _bounded(self._keys, key)

    def code_label(self, code: str) -> str:
        """An error's code as a label's value: endpoints, too, choose them."""
        return self._codes.get(code) or _bounded(self._codes, code)

    def count_answer(
        self,
        route: str,
        endpoint: str,
        arm: str,
        status: int,
        first_byte_s: float | None,
        whole_s: float,
        model: str = "",
        key_name: str = "",
    ) -> None:
        """Count a request that was answered, and the seconds to its first byte and to its end: one look-up for all.

        `model` and `key_name` are labels' values of `model_label` and `key_label`.
        """
        key = (route, endpoint, arm, status, model, key_name)
        answers = self._answers.get(key)
        if answers is None:
            answers = self._answers[key] = _Answers(
                self._cells("freehold_first_byte_seconds", (route, arm)),
                self._cells("freehold_request_seconds", (route, arm)),
            )
        answers.count += 1
        if first_byte_s is not None:
            answers.first_byte[bisect_left(BUCKETS_S, first_byte_s)] += 1
            answers.first_byte[-1] += first_byte_s
        answers.whole[bisect_left(BUCKETS_S, whole_s)] += 1
        answers.whole[-1] += whole_s

    def count_waits(self, route: str, endpoint: str, added_s: float, upstream_s: float | None) -> None:
        """Count the seconds until a request was put to an endpoint, and from then until it began to answer."""
        waits = self._waits.get((route, endpoint))
        if waits is None:
            waits = self._waits[route, endpoint] = (
                self._cells("freehold_added_seconds", (route,)),
                self._cells("freehold_upstream_seconds", (endpoint,)),
            )
        waits[0][bisect_left(_SHORT_S, added_s)] += 1
        waits[0][-1] += added_s
        if upstream_s is not None:
            waits[1][bisect_left(BUCKETS_S, upstream_s)] += 1
            waits[1][-1] += upstream_s

    def _cells(self, name: str, labels: Labels) -> list[float]:
        """A histogram's counts by bucket, and behind them the sum of all values."""
        return self._histograms.setdefault((name, labels), [0] * (len(buckets_of(name)) + 1) + [0.0])

    def snapshot(self) -> Snapshot:
        taken = Snapshot(
            answers=self.answers,
            gauges={
                "freehold_in_flight": float(self.in_flight),
                "freehold_held_bytes": float(self.held_bytes),
                **self.stated,
            },
        )
        for (name, labels), value in self.counters.items():
            taken.counters.setdefault(name, []).append((labels, value))
        now_s = time.perf_counter()
        for route, began_s in self.candidates_requests.values():
            taken.waiting.setdefault(route, []).append(now_s - began_s)
        if self.open_breakers:
            taken.labelled["freehold_breaker_open"] = [((endpoint,), 1.0) for endpoint in self.open_breakers]
        for (route, endpoint, arm, status, model, key), answers in self._answers.items():
            counted = taken.counters.setdefault("freehold_requests", [])
            counted.append(((route, endpoint, arm, str(status)), answers.count))
            counted = taken.counters.setdefault("freehold_model_requests", [])
            counted.append(((route, arm, model, key, str(status)), answers.count))
        for (name, labels), cells in self._histograms.items():
            taken.histograms.setdefault(name, []).append(
                (labels, [int(cell) for cell in cells[:-1]], cells[-1])
            )
        return taken

    def write(self, folder: Path) -> None:
        """Leave this process's numbers where the others find them."""
        path = folder / f"meters-{os.getpid()}-{self.owner}.msgpack"
        files.write(path, msgspec.msgpack.encode(self.snapshot()))


def has_meters(folder: Path, process_id: int) -> bool:
    """Whether a process has left its numbers."""
    return next(folder.glob(f"meters-{process_id}-*.msgpack"), None) is not None


def settle_counters(folder: Path, owner: str, counters: Mapping[tuple[str, Labels], float]) -> None:
    """Set counters of a process that is gone: it may have counted on after it wrote them last. None of them falls: a
    recorder that is killed between this and the removal of what it was counted from leaves less to count. Raises
    `OSError`."""
    path = next(folder.glob(f"meters-*-{owner}.msgpack"), folder / f"meters-0-{owner}.msgpack")
    snapshot = Snapshot()
    if path.exists():
        snapshot = msgspec.msgpack.decode(path.read_bytes(), type=Snapshot)
        snapshot.gauges, snapshot.labelled, snapshot.waiting, snapshot.answers = {}, {}, {}, {}
    names = {name for name, _ in counters}
    most = {(name, labels): value for name in names for labels, value in snapshot.counters.pop(name, ())}
    for key, value in counters.items():
        most[key] = max(value, most.get(key, 0))
    for (name, labels), value in most.items():
        if value:
            snapshot.counters.setdefault(name, []).append((labels, value))
    files.write(path, msgspec.msgpack.encode(snapshot))


def read_all(folder: Path) -> list[Snapshot]:
    """The numbers of all processes of a gateway, those that are gone included (their gauges left out)."""
    snapshots = []
    for path in sorted(folder.glob("meters-*.msgpack")):
        taken = msgspec.msgpack.decode(path.read_bytes(), type=Snapshot)
        process_id = int(path.stem.split("-")[1])
        if process_id == 0 or not _is_alive(process_id):
            taken.gauges, taken.labelled, taken.waiting, taken.answers = {}, {}, {}, {}
        snapshots.append(taken)
    return snapshots


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


_WORD_SUFFIX = ".run"


class _Word(RunningProcess, frozen=True, kw_only=True):
    """What a gateway leaves of itself: its main process, and the folder with its numbers."""

    run_folder: str


def leave_word(spool: Path, run_folder: Path) -> None:
    """Say in the folder of a gateway's spools where its numbers are while it runs: who knows the project finds them."""
    with contextlib.suppress(OSError):  # what reads them finds none then, and traffic goes on
        spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        word = {**described(os.getpid()), "run_folder": str(run_folder)}
        files.write(spool / f"{run_folder.name}{_WORD_SUFFIX}", msgspec.json.encode(word))


def run_folders(spool: Path) -> list[Path]:
    """Where the gateways that left word in a folder of spools, and run, have their numbers. A word of one that has
    ended, killed or not, is taken away."""
    found = []
    for path in sorted(spool.glob(f"*{_WORD_SUFFIX}")):
        try:
            word = msgspec.json.decode(path.read_bytes(), type=_Word)
        except (OSError, msgspec.MsgspecError):
            continue
        if is_alive(word):
            found.append(Path(word.run_folder))
        elif standing(word) == "ended":
            with contextlib.suppress(OSError):
                path.unlink()
    return found


def read_running(spool: Path) -> dict[Path, list[Snapshot]]:
    """The numbers of all gateways of `run_folders`; one that ends or writes at this moment is left out."""
    read = {}
    for folder in run_folders(spool):
        with contextlib.suppress(OSError, ValueError, msgspec.MsgspecError):
            read[folder] = read_all(folder)
    return read


def totals_of(spool: Path, name: str) -> dict[Labels, float]:
    """A counter of the gateways that left word in a folder of spools; empty where none runs."""
    totals: dict[Labels, float] = {}
    for taken in (one for snapshots in read_running(spool).values() for one in snapshots):
        for labels, value in taken.counters.get(name, ()):
            totals[labels] = totals.get(labels, 0) + value
    return totals
