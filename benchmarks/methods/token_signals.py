"""What a language model's log-probabilities tell of its answers: a project's adapter, asked through llama.cpp.

    freehold demo --example helpdesk --dir /tmp/demo   # trains the adapter
    python -m benchmarks.methods.token_signals --project /tmp/demo/freehold-demo

The samples are those it was not trained on (held-out and validation). An answer is good where it scores as high as the
incumbent's. Prints for each signal how many answers carry it, its AUROC, and the expected calibration error after
isotonic calibration on folds that were not fitted; and of the first forty, asked without log-probabilities as well,
how many answers changed and the milliseconds of both.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
from pathlib import Path

import msgspec
import numpy as np

from freehold.datasets import building
from freehold.deferring.learning import learn_router
from freehold.deferring.request_text import request_text
from freehold.engines import start
from freehold.evals.replay import ReplayOptions, replay
from freehold.evals.scorers import scorer_of
from freehold.settings import load
from freehold.stats.deferral import auroc
from freehold.store import open_store
from freehold.types.dataset import Dataset, Sample
from freehold.types.deferral import SignalName
from freehold.types.endpoint import AdapterMount, ServePlan
from freehold.types.evaluation import EvalResult, Task
from freehold.types.training import Adapter
from freehold.workflows.project import open_project
from freehold.workflows.prove.task import task_of
from freehold.workflows.serve import plan as serving
from freehold.workflows.serve.plan import ServeRequest
from freehold.workflows.weights.pull import ensure_weights

AGAIN = 40
"""Samples that are asked without log-probabilities, too."""


async def asked(
    plan: ServePlan, name: str, samples: list[Sample], task: Task, project: Path
) -> list[EvalResult]:
    """The answers with signals, kept as they come. Asks some without, and says what changed."""
    logs, few = project / ".freehold" / "engines", samples[:AGAIN]
    told_options = ReplayOptions(1, cache_path=project / ".freehold" / "token-signals.jsonl", signals=True)
    async with start(plan, log_dir=logs, name="signals") as endpoint:
        told = await replay(endpoint, name, samples, task, options=told_options)
        plain = await replay(endpoint, name, few, task, options=ReplayOptions(1))
    changed = sum(one.output != other.output for one, other in zip(plain, told[: len(few)], strict=True))
    times = [statistics.median(one.total_ms or 0.0 for one in column) for column in (plain, told)]
    print(
        f"{len(few)} asked without as well, {changed} changed; median {times[0]:.0f} ms, {times[1]:.0f} ms with"
    )
    return told


async def incumbent_scores(samples: list[Sample], task: Task) -> list[float]:
    """Scores of the recorded answers."""
    async with scorer_of(task) as scorer:
        scores = [await scorer.score(one, one.incumbent or "", one.target) for one in samples]
    return [one.value or 0.0 for one in scores]


def main() -> None:
    """Ask and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--project", type=Path, required=True)
    given = parser.parse_args()
    project, settings = open_project(given.project), load()
    with open_store(project.store_url) as store:
        dataset, adapter = store.latest(Dataset), store.latest(Adapter)
    assert dataset is not None and adapter is not None
    samples = [one for split in ("held_out", "validation") for one in building.samples(dataset, split)]
    base = ensure_weights(adapter.base_model, settings)
    mount = AdapterMount(name="tuned", path=adapter.path, adapter_id=adapter.id)
    request = ServeRequest(engine="llamacpp", context_tokens=1024, parallel=1)
    # One thread: several wait for each other, which takes all there is of a shared machine.
    plan = msgspec.structs.replace(serving.plan(base, request, settings, adapters=[mount]), threads=1)
    task = task_of(project)
    results = asyncio.run(asked(plan, "tuned", samples, task, given.project))
    theirs = np.array(asyncio.run(incumbent_scores(samples, task)))
    mine = np.array([one.score.value or 0.0 for one in results])
    good = mine >= theirs
    print(f"candidate {mine.mean():.1%}, incumbent {theirs.mean():.1%}, as good in {good.mean():.1%}")
    columns: dict[SignalName, list[float]] = {
        name: [one.signals.get(name, np.nan) for one in results]
        for name in ("mean_logprob", "min_logprob", "field_min_logprob")
    }
    texts = [request_text({"messages": msgspec.to_builtins(one.messages)}) for one in samples]
    columns["router"] = learn_router(
        texts, good.tolist(), groups=[one.group for one in samples]
    ).scores.tolist()
    print("| signal | AUROC |\n|---|---|")
    for name, column in columns.items():
        print(f"| {name} | {auroc(np.array(column), good) or float('nan'):.3f} |")
    print(json.dumps({"load": Path("/proc/loadavg").read_text().split()[:1]}))


if __name__ == "__main__":
    main()
