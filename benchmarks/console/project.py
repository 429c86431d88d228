"""A project whose store has a million traces up to now, a rollout that mirrors and an evaluation of many items, and the
console that `freehold console` starts for it."""

from __future__ import annotations

import contextlib
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec
import psutil

from benchmarks.trace_search import Generator, filled
from freehold.evals.comparing import SideBySide, compare, summarize
from freehold.store import Store, open_store
from freehold.store.tables import from_micros
from freehold.types.dataset import Message, Sample
from freehold.types.evaluated import Evaluation
from freehold.types.evaluation import EvalResult, Score, Task
from freehold.types.rollout import Rollout, RolloutTerms
from freehold.types.route import Route, Target
from freehold.workflows.project import Project, open_project
from freehold.workflows.prove.results import evaluation_id, keep, measured, write_results
from freehold.workflows.shift.rollout import rollout

ROUTE = "support"
DAYS = 14
TASK = Task(name=ROUTE, scorer="exact", margin=0.03, slices=("language",))


class Served(NamedTuple):
    """A console that runs: its address, its token, its process."""

    url: str
    token: str
    process: psutil.Process


def made(folder: Path, traces: int, items: int, url: str | None) -> tuple[Project, dict[str, float]]:
    """The project in `folder`, made or brought up to now, and the seconds that took."""
    folder.mkdir(parents=True, exist_ok=True)
    store_url = url or f"sqlite:///{(folder / 'freehold.sqlite3').absolute()}"
    (folder / "freehold.toml").write_text(
        f'[app]\nname = "{ROUTE}"\n[incumbent]\nmodel = "gpt-4o-mini"\nbase_url = "http://127.0.0.1:1"\n'
    )
    os.environ["FREEHOLD_DATABASE_URL"] = store_url  # the console's process inherits it
    project = open_project(folder / "freehold.toml")
    generator = Generator(traces)
    with open_store(store_url) as store:
        took = filled(store, generator)
        _up_to_now(store, generator)
        if not store.records(Rollout):
            _begin(store)
        if not any(one.measured.n == items for one in store.records(Evaluation)):
            _evaluate(project, store, generator, items)
    return project, took


def _up_to_now(store: Store, generator: Generator) -> None:
    """A day like the ones before it, the newest trace of now, where the newest one is older than an hour."""
    newest, now = store.newest_trace(), datetime.now(UTC)
    if newest.at is not None and now - from_micros(newest.at) < timedelta(hours=1):
        return
    more = generator.count // DAYS
    new = generator.traces(newest.place + generator.count, more)
    store.add_traces(
        msgspec.structs.replace(one, at=now - timedelta(days=1) * (1 - (number + 1) / more))
        for number, one in enumerate(new)
    )


def _begin(store: Store) -> None:
    route = Route(
        name=ROUTE,
        model="gpt-4o-mini",
        incumbent=Target(endpoint="incumbent"),
        candidate=Target(endpoint="local", model="qwen3-0.6b:support"),
    )
    terms = RolloutTerms(task=TASK, stages=(0.1, 0.5), shadow_share=1.0)
    rollout.start(store, route, terms, who="benchmark", at=datetime.now(UTC))


def _evaluate(project: Project, store: Store, generator: Generator, count: int) -> None:
    """An evaluation of `count` items of 80 words whose answers have 60: four in ten differ, one in ten is a loss."""
    draw = random.Random(11)
    samples, references, one, other = [], [], [], []
    for number in range(count):
        asked, right = generator.said(80), generator.said(60)
        words = right.split()
        words[draw.randrange(60)] = "different"
        ours = " ".join(words) if draw.random() < 0.4 else right
        lost = ours != right and draw.random() < 0.25
        sample = Sample(
            id=f"{number:032x}",
            messages=(Message(role="user", content=asked),),
            gold=right,
            incumbent=right,
            metadata={"language": draw.choice(("de", "en", "fr"))},
        )
        samples.append(sample)
        references.append(right)
        one.append(_result(sample.id, "gpt-4o-mini", right, 1.0))
        other.append(_result(sample.id, "qwen3-0.6b", ours, 0.0 if lost else 1.0))
    found = SideBySide(samples, references, one, other, "gpt-4o-mini", "qwen3-0.6b")
    id = evaluation_id("d" * 32, TASK, found)
    keep(
        store,
        Evaluation(
            id=id,
            task=TASK,
            dataset_id="d" * 32,
            incumbent=found.incumbent_name,
            candidate=found.candidate_name,
            endpoint="http://127.0.0.1:8420",
            comparison=compare(found, TASK, made_from=("d" * 32,)),
            measured=measured(found.candidate, TASK.alpha),
            references="gold",
            latency=summarize(found.candidate, concurrency=4),
            results_file=str(write_results(project.state / "evaluations" / f"{id}.jsonl", found)),
        ),
    )


def _result(sample_id: str, model: str, said: str, value: float) -> EvalResult:
    return EvalResult(sample_id=sample_id, model=model, output=said, score=Score(value=value), total_ms=120.0)


def forget_pages(project: Project) -> None:
    """Let the kernel drop what it holds of the store's file, as after a restart of the machine."""
    path = Path(project.store_url.removeprefix("sqlite:///"))
    if path.is_file():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@contextlib.contextmanager
def console(project: Project) -> Iterator[Served]:
    """`freehold console` as its users start it, on a free port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "freehold", "console", "--port", "0"],
        cwd=project.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline()
        found = re.fullmatch(r"(http://\S+)/#token=(\S+)\n", address)
        if found is None:
            raise SystemExit(f"freehold console said {address!r}")
        yield Served(found[1], found[2], psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(30)


def cpu_s(process: psutil.Process) -> float:
    """Processor time of a process and its children, their ended threads included."""
    return float(sum(sum(one.cpu_times()[:2]) for one in (process, *process.children(recursive=True))))


def timed_start(project: Project) -> float:
    """Seconds from the command to the printed address."""
    began = time.perf_counter()
    with console(project):
        return time.perf_counter() - began
