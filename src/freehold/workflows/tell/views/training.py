"""The screen Training: every run with its curves and memory, also one that goes on or broke off, two side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from freehold import training as trainer
from freehold.errors import FreeholdError, UsageError
from freehold.store import Store
from freehold.training.encoder import read_record
from freehold.types.encoder import EncoderModel
from freehold.types.record import Record
from freehold.types.report import Report
from freehold.types.training import Adapter, TrainingEvent
from freehold.workflows.project import Project
from freehold.workflows.tell.views.query import ScreenQuery
from freehold.workflows.weights.trained import ADAPTERS, ENCODERS

EVENTS_BYTES = 32 * 1024 * 1024
"""Of a run's events, the newest ones: a long run tells a line a step."""
MOST_RUNS = 100
QUIET_SECONDS = 120.0
"""A run without a manifest that told nothing for this long is called stopped."""

MOST_POINTS = 240
Curve = tuple[tuple[int, float], ...]
"""Pairs of step and value."""

RunState = Literal["done", "running", "stopped", "failed"]
RunKind = Literal["adapter", "encoder"]
RECORDS: dict[RunKind, str] = {"adapter": "adapter.json", "encoder": "encoder_model.json"}
"""The file that a finished run of each kind leaves in its folder."""


class TrainingQuery(ScreenQuery, frozen=True, kw_only=True):
    """Which run (its folder's name; None: the newest that runs, else the one that was taken), and which other is held
    against it."""

    run: Annotated[str, Meta(max_length=200)] | None = None
    against: Annotated[str, Meta(max_length=200)] | None = None


class RunLine(Record, frozen=True, kw_only=True):
    """A run in short. `record_id` is of what it made, None until it is done. Steps of an encoder are texts embedded, or
    steps of training where its encoder learns too."""

    name: str
    kind: RunKind
    state: RunState
    at: datetime
    step: int
    steps: int
    loss: float | None
    score: float | None
    peak_memory_bytes: int | None
    seconds_left: float | None
    record_id: str | None


class RunDetail(Record, frozen=True, kw_only=True):
    """One run's curves: pairs of step and value, neighbouring steps joined where there are many. `score` is the share
    of validation answers that are right to the letter. `result` is what a run of an adapter left,
    `encoder` what one of an encoder did."""

    line: RunLine
    result: Adapter | None
    encoder: EncoderModel | None
    loss: Curve
    validation_loss: Curve
    score: Curve
    learning_rate: Curve
    tokens_per_second: Curve
    memory_bytes: Curve
    said: tuple[str, ...]


class TrainingScreen(Record, frozen=True, kw_only=True):
    """The whole screen. `differences` are the fields in which two finished runs differ."""

    app: str
    at: datetime
    runs: tuple[RunLine, ...]
    run: RunDetail | None
    against: RunDetail | None
    differences: dict[str, tuple[Any, Any]]
    command: str
    first_command: str = "freehold train --dry-run"


def training(project: Project, store: Store, query: TrainingQuery, *, at: datetime) -> TrainingScreen:
    """What there is to see. Raises `UsageError` for a run that is not there."""
    folders = _folders(project)
    lines = {folder.name: _line(folder, at) for folder in folders}
    run = _detail(folders, query.run or _taken(store, lines.values()), at) if folders else None
    against = _detail(folders, query.against, at) if query.against is not None else None
    differences: dict[str, tuple[Any, Any]] = {}
    if run is not None and against is not None and run.result is not None and against.result is not None:
        differences = _differences(run.result, against.result)
    return TrainingScreen(
        app=project.config.app.name,
        at=at,
        runs=tuple(lines.values()),
        run=run,
        against=against,
        differences=differences,
        command=_command(run),
    )


def _taken(store: Store, lines: Iterable[RunLine]) -> str | None:
    """The run that the last report's candidate came from; None where there is none, or one is under way."""
    report = store.latest(Report)
    if report is None or any(line.state == "running" for line in lines):
        return None
    lead = report.chosen or report.candidates[0]
    made = lead.encoder or lead.trained
    return next((line.name for line in lines if made is not None and line.record_id == made.id), None)


def _differences(first: Adapter, second: Adapter) -> dict[str, tuple[Any, Any]]:
    """What differs in making and outcome; the curve and the file hashes are left out."""
    one, two = _flat(first), _flat(second)
    return {
        key: (one.get(key), two.get(key))
        for key in sorted(one.keys() | two.keys())
        if one.get(key) != two.get(key)
    }


def _flat(adapter: Adapter) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in msgspec.to_builtins(adapter).items():
        if key in ("curve", "files", "path", "id"):
            continue
        if isinstance(value, dict):
            flat |= {f"{key}.{inner}": item for inner, item in value.items()}
        else:
            flat[key] = value
    return flat


def _command(run: RunDetail | None) -> str:
    return "freehold train" if run is None else "freehold models list"


def _folders(project: Project) -> list[Path]:
    """Folders of runs, the one that told something last first."""
    roots = [ADAPTERS.folder(project), ENCODERS.folder(project)]
    found = [place for root in roots if root.is_dir() for place in root.iterdir() if place.is_dir()]
    known = [
        place for place in found if _events_file(place).is_file() or (place / RECORDS[_kind(place)]).is_file()
    ]
    return sorted(known, key=_changed, reverse=True)[:MOST_RUNS]


def _kind(folder: Path) -> RunKind:
    return "encoder" if folder.parent.name == f"{ENCODERS.noun}s" else "adapter"


def _events_file(folder: Path) -> Path:
    return folder / "run" / "events.jsonl"


def _changed(folder: Path) -> float:
    for path in (_events_file(folder), folder / RECORDS[_kind(folder)]):
        try:
            return path.stat().st_mtime
        except OSError:
            continue
    return 0.0


def _detail(folders: Sequence[Path], wanted: str | None, at: datetime) -> RunDetail:
    # By the names that are there, so that an address never leads to another folder.
    folder = folders[0] if wanted is None else next((one for one in folders if one.name == wanted), None)
    if folder is None:
        raise UsageError(f"no training run {wanted}", hint="freehold models list")
    events = read_events(_events_file(folder))
    # Texts that were only embedded are no steps of learning.
    steps = list({one.step: one for one in events if one.kind == "step" and one.loss is not None}.values())
    # An encoder's stages are told when they are done, with their results and without a step.
    evals = list({one.step: one for one in events if one.kind == "eval" and one.step}.values())
    return RunDetail(
        line=_line(folder, at, events),
        result=_result(folder),
        encoder=_encoder(folder),
        loss=smoothed(_points(steps, "loss")),
        validation_loss=_points(evals, "loss"),
        score=_points(evals, "score"),
        learning_rate=thinned(_points(steps, "learning_rate")),
        tokens_per_second=smoothed(_points(steps, "tokens_per_second")),
        memory_bytes=thinned(_points(steps, "peak_memory_bytes")),
        said=tuple(one.message for one in events if one.kind in ("warning", "error") and one.message)[-20:],
    )


def _points(events: Sequence[TrainingEvent], field: str) -> Curve:
    return tuple((one.step, float(value)) for one in events if (value := getattr(one, field)) is not None)


def smoothed(points: Curve) -> Curve:
    """At most `MOST_POINTS` points, each the mean of as many neighbours as there are for each."""
    size = max(1, -(-len(points) // MOST_POINTS))
    parts = [points[at : at + size] for at in range(0, len(points), size)]
    return tuple((part[-1][0], sum(value for _, value in part) / len(part)) for part in parts)


def thinned(points: Curve) -> Curve:
    """At most `MOST_POINTS` evenly spaced points, the last one among them."""
    size = max(1, -(-len(points) // MOST_POINTS))
    return (*points[::size], *([points[-1]] if points and (len(points) - 1) % size else []))


def read_events(path: Path) -> list[TrainingEvent]:
    """A run's events in order, of a long file the newest; a line that is half written is left out."""
    decoder = msgspec.json.Decoder(TrainingEvent)
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - EVENTS_BYTES))
            lines = file.read().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            found.append(decoder.decode(line))
        except (msgspec.DecodeError, msgspec.ValidationError):
            continue
    return found


def _encoder(folder: Path) -> EncoderModel | None:
    if _kind(folder) != "encoder":
        return None
    try:
        return read_record(folder)
    except FreeholdError:
        return None


def _result(folder: Path) -> Adapter | None:
    if _kind(folder) != "adapter":
        return None
    try:
        return trainer.read_manifest(folder)
    except FreeholdError:
        return None


def _line(folder: Path, at: datetime, events: Sequence[TrainingEvent] | None = None) -> RunLine:
    told = read_events(_events_file(folder)) if events is None else events
    result = _result(folder)
    encoder = _encoder(folder)
    steps = [one for one in told if one.kind == "step"]
    last = steps[-1] if steps else None
    made = result if encoder is None else encoder
    scores = [one.score for one in told if one.score is not None]
    memory = [one.peak_memory_bytes for one in told if one.peak_memory_bytes is not None]
    changed = datetime.fromtimestamp(_changed(folder), UTC)
    return RunLine(
        name=folder.name,
        kind=_kind(folder),
        state=_state(told, made is not None, (at - changed).total_seconds()),
        at=changed,
        step=last.step if last is not None else result.steps if result is not None else 0,
        steps=last.steps if last is not None else result.steps if result is not None else 0,
        loss=last.loss if last is not None else result.final_loss if result is not None else None,
        score=scores[-1] if scores else None,
        peak_memory_bytes=max(memory) if memory else made.peak_memory_bytes if made is not None else None,
        seconds_left=last.seconds_left if last is not None and made is None else None,
        record_id=None if made is None else made.id,
    )


def _state(told: Sequence[TrainingEvent], is_made: bool, quiet_seconds: float) -> RunState:
    if is_made:
        return "done"
    if told and told[-1].kind == "error":
        return "failed"
    return "running" if quiet_seconds < QUIET_SECONDS else "stopped"
