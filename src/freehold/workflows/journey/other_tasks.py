"""The log's other tasks: requests that `[[data.match]]` leaves out, as probes of what a trained model kept.

A project of one task of a log (`freehold init FILE --task`) names the whole log in `[data] files`; one of captured
traffic names the project that captured it in `[train] probe_logs`; and a gateway's store holds what
every application asked. Whatever of these is not the project's own task is drawn from here, sorted into its tasks as
`freehold tasks` does, and asked with the answers that were recorded.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from freehold.datasets.sampling import answer_of, calls_unoffered, sample_of, with_id
from freehold.datasets.tasks import any_fits, is_selected
from freehold.errors import ConfigError, InputError, StoreError
from freehold.evals.retained import OtherTask
from freehold.progress import Progress, Silent
from freehold.stats.slices import MIN_N
from freehold.store import Store, open_store
from freehold.types.application import LogTask
from freehold.types.dataset import RecordedAsking, Sample
from freehold.types.evaluation import Task
from freehold.types.identity import question_id
from freehold.types.trace import Trace
from freehold.workflows.data.curate import Curator, pseudonym_key, recipe_of
from freehold.workflows.data.imports import LogFile, file_traces, named_files
from freehold.workflows.journey.drafting import prompt_size, tokens_in
from freehold.workflows.journey.log_tasks import AskedRequest, tasks_of
from freehold.workflows.project import CONFIG_NAME, Project, open_project

MOST = 120
"""Requests of other tasks that are asked, of all tasks together."""
DRAWN = 2_000
"""Requests of other tasks that are drawn from a log, evenly, however long it is."""
ANSWER_TOKENS = 256
"""Requests whose recorded answer is longer, by its characters, are not asked."""
_BATCH = 1000
WORDS = "turn"
"""Scores free text by the words in common with the recorded answer; `exact` would call every answer wrong."""


class OtherTasks(NamedTuple):
    """Tasks with the requests to ask, and why others are not among them."""

    tasks: tuple[OtherTask, ...] = ()
    notes: tuple[str, ...] = ()


def other_tasks(project: Project, store: Store, *, progress: Progress | None = None) -> OtherTasks:
    """At most `MOST` requests of the log's other tasks, `MIN_N` or more of each, of the tasks with most requests.

    Personal data is replaced as in a dataset. None where the project takes in the whole log. The same log gives the
    same requests. A file that cannot be read is noted.
    """
    if not project.config.data.match:
        return OtherTasks()
    notes: list[str] = []
    drawn = _drawn(project, store, notes, progress or Silent())
    if not drawn:
        return OtherTasks(notes=(*notes, "the log holds no request of another task with an answer"))
    found = tasks_of(lambda: map(_asked, drawn)).told((), 0, {}).tasks
    asked = [(_asked(one).asked(), one) for one in drawn]
    tasks: list[OtherTask] = []
    room = MOST // MIN_N
    for task in sorted(found, key=lambda one: (-one.requests, one.name)):
        if task.scorer is None:
            notes.append(
                f"{task.name}: not asked, {task.scorer_why if task.kind != 'embeddings' else 'embeddings'}"
            )
            continue
        own = [trace for parts, trace in asked if any_fits(task.match, parts)]
        samples = _samples(project, own)
        if len(samples) < MIN_N:
            notes.append(f"{task.name}: not asked, {len(samples)} requests that fit are fewer than {MIN_N}")
        elif len(tasks) < room:
            tasks.append(OtherTask(task=_scoring(task), samples=tuple(samples)))
        else:
            notes.append(f"{task.name}: not asked, {MOST} requests are for {room} tasks")
    each = MOST // len(tasks) if tasks else 0
    return OtherTasks(
        tuple(msgspec.structs.replace(one, samples=one.samples[:each]) for one in tasks), tuple(notes)
    )


def log_identity(project: Project, store: Store) -> list[Any]:
    """What the other tasks depend on, without reading the log: changed files or traces change it."""
    if not project.config.data.match:
        return []
    places: list[Any] = []
    for path in _logs(project):
        told = path.stat() if path.exists() else None
        size = told and [told.st_size, told.st_mtime_ns]
        with suppress(ConfigError, StoreError):  # reading it will say so
            if (path / CONFIG_NAME).is_file():
                with open_store(open_project(path / CONFIG_NAME, looks=True).store_url) as other:
                    size = [other.count_traces(complete_only=False)]
        places.append([str(path), size])
    data = msgspec.to_builtins(project.config.data)
    return [data, MOST, places, store.count_traces(complete_only=False)]


def _drawn(project: Project, store: Store, notes: list[str], progress: Progress) -> list[Trace]:
    """Answered requests of other tasks, drawn evenly (Vitter's algorithm R, 1985)."""
    kept: list[Trace] = []
    draw = random.Random(0)
    for met, trace in enumerate(_others(project, store, notes), 1):
        if met % _BATCH == 0:
            progress.update(met, None, unit="requests", note="of other tasks")
        if met <= DRAWN:
            kept.append(trace)
        elif (place := draw.randrange(met)) < DRAWN:
            kept[place] = trace
    return kept


def _others(project: Project, store: Store, notes: list[str]) -> Iterator[Trace]:
    config = project.config.data
    sources: list[Store | Path] = [store, *_logs(project)]
    for source in sources:
        try:
            for trace in _traces(project, source):
                asked = trace.kind == "chat" and trace.arm == "incumbent"
                if asked and (trace.gold is not None or answer_of(trace)) and not is_selected(trace, config):
                    yield trace
        except (InputError, ConfigError, StoreError) as error:
            if not isinstance(source, Path):
                raise
            notes.append(f"{source.name}: its other tasks are not asked, {error.message}")


def _logs(project: Project) -> list[Path]:
    """Files of logged traffic, and folders of projects whose stores hold some."""
    named = [one.path for one in named_files(project)]
    return list(dict.fromkeys([*named, *map(project.path, project.config.train.probe_logs)]))


def _traces(project: Project, source: Store | Path) -> Iterator[Trace]:
    """What one of them holds. Raises what reading it raises."""
    if not isinstance(source, Path):
        yield from source.traces(own_only=True)
    elif (source / CONFIG_NAME).is_file():
        with open_store(open_project(source / CONFIG_NAME, looks=True).store_url) as other:
            yield from other.traces(own_only=True)
    else:
        yield from file_traces(project, [LogFile(source, False)])


def _asked(trace: Trace) -> AskedRequest:
    return AskedRequest(request=trace.request, response=trace.response, model=trace.model, gold=trace.gold)


def _samples(project: Project, traces: Sequence[Trace]) -> list[Sample]:
    """Requests of one task as samples, each question once, in an order that no other request changes."""
    recipe = recipe_of(project, traces=0)
    curator = Curator(recipe, project.config.task, pseudonym_key(project))
    context = project.config.serve.context_tokens
    found: dict[str, Sample] = {}
    for trace in traces:
        size = prompt_size(trace.request.get("messages") or [], trace.request.get("tools"))
        try:
            sample = sample_of(trace, recipe)
        except msgspec.ValidationError:
            continue
        too_long = (
            tokens_in(len(sample.target or "")) > ANSWER_TOKENS or tokens_in(size) + ANSWER_TOKENS > context
        )
        if too_long or calls_unoffered(sample):
            continue
        # Held out: the incumbent's answer stays, right or wrong. It is what both are measured by.
        sample = with_id(curator.change(sample, "held_out"))
        found.setdefault(
            question_id(sample.messages), msgspec.structs.replace(sample, asking=_greedy(sample.asking))
        )
    return [found[key] for key in sorted(found, key=_shuffled)]


def _shuffled(key: str) -> bytes:
    return hashlib.blake2b(key.encode(), digest_size=8).digest()


def _greedy(asking: RecordedAsking | None) -> RecordedAsking:
    """Asked without chance: a difference is then the adapter's. An answer may be twice as long as the recorded ones."""
    return msgspec.structs.replace(
        asking or RecordedAsking(), temperature=0.0, top_p=None, seed=None, max_tokens=2 * ANSWER_TOKENS
    )


def _scoring(task: LogTask) -> Task:
    plain = task.scorer == "exact"
    return Task(
        name=task.name,
        scorer=WORDS if plain or task.scorer is None else task.scorer,
        options={} if plain else task.scorer_options,
    )
