"""A format task that small models get wrong: the intent of SNIPS queries as JSON, before and after `freehold prompt`.

    python -m benchmarks.methods.prompt --data ../shared/data/snips --out /tmp/prompt --search plain
    python -m benchmarks.methods.prompt --data ../shared/data/snips --out /tmp/prompt --search itself --proposals 60
    python -m benchmarks.methods.prompt --data ../shared/data/snips --out /tmp/prompt --search google/gemma-3-270m
    python -m benchmarks.methods.prompt --data ../shared/data/snips --out /tmp/prompt --search scripted

Prints one JSON object: the share of answers that are not JSON, and the share with the right intent, on the validation
samples the choice was made by and on queries that no choice saw; what the proposer's replies came to; requests and
processor seconds. ``plain`` has no proposer; with one, only rewriting is tried, so that each is measured by itself, or
with ``--after-plain`` the best of the plain ways is rewritten.
``scripted`` answers with prompts written down here: a bad one, one that leaks, and a good one. The data are CC0-1.0
(Coucke et al. 2018, arXiv:1805.10190) and are not copied here.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import msgspec
import psutil

from benchmarks.training.samples import BASE
from benchmarks.training.snips import samples_of
from freehold import settings
from freehold.datasets import building
from freehold.engines import start
from freehold.evals.replay import ReplayOptions, replay
from freehold.stats.binary import wilson_limits
from freehold.types.dataset import Dataset, Message, Sample
from freehold.types.endpoint import ServePlan
from freehold.types.evaluation import Task
from freehold.types.preparation import Preparation
from freehold.types.progress import Silent
from freehold.types.prompting import PromptBudget
from freehold.workflows.journey.prompting.planning import PromptPlan, PromptRequest, plan
from freehold.workflows.journey.prompting.search import run
from freehold.workflows.project import Project, open_project
from freehold.workflows.serve.plan import ServeRequest, pull_and_plan

TASK = Task(name="snips", scorer="json_fields", options={"fields": ["intent"]}, max_tokens=24)
SYSTEM = "Give the intent of the request as JSON."
TRAIN = 200
SCRIPT = (
    "Be friendly.\n```\nYou are a friendly assistant. Give the intent of the request.\n```",
    "Here is one that was answered.\n```\n{leak}\n```",
    "It explains instead of answering. I state the form and the names.\n```\nAnswer with one JSON object on one line "
    'and nothing else, like {{"intent": "NAME"}}. NAME is exactly one of AddToPlaylist, BookRestaurant, '
    "GetWeather, PlayMusic, RateBook, SearchCreativeWork, SearchScreeningEvent. No explanation, no code fence.\n```",
)


class Writer(NamedTuple):
    """A proposer that is there: its address, its model, and the variable with its key."""

    url: str
    model: str
    api_key_env: str | None = None


def dataset_of(data: Path, root: Path, validation: int, held_out: int) -> Dataset:
    """Training and validation samples of SNIPS' training part, held-out ones of its validation part."""
    chooser = random.Random(0)
    train = chooser.sample(list(intents(data, "train")), TRAIN + validation)
    fresh = chooser.sample(list(intents(data, "validate")), held_out)
    return building.write(
        building.Building(
            by_split={"train": train[:TRAIN], "validation": train[TRAIN:], "held_out": fresh},
            dropped=Counter(),
        ),
        building.Recipe(),
        name="snips",
        root=root,
        made_from=(),
        version="benchmark",
        incumbent_model=None,
    )


def intents(data: Path, kind: str) -> Iterator[Sample]:
    """SNIPS' queries, of which the intent alone is asked."""
    for one in samples_of(data, kind):
        messages = (Message(role="system", content=SYSTEM), *one.messages[1:])
        gold = json.dumps({"intent": json.loads(one.gold or "{}")["intent"]})
        yield msgspec.structs.replace(one, messages=messages, gold=gold)


@contextmanager
def proposer_at(name: str, leak: str, logs: Path) -> Iterator[Writer | None]:
    """Address and model of a proposer: scripted, or a model that is served here; None for none and the candidate."""
    if name in ("plain", "itself"):
        yield None
    elif name == "scripted":
        server = _Scripted(leak)
        try:
            yield Writer(f"http://127.0.0.1:{server.server_address[1]}", "scripted")
        finally:
            server.shutdown()
    else:
        with anyio.from_thread.start_blocking_portal() as portal:
            started = start(serving(name), log_dir=logs, name="proposer")
            with portal.wrap_async_context_manager(started) as endpoint:
                yield Writer(endpoint.base_url, endpoint.models[0].upstream_name, endpoint.api_key_env)


class _Scripted(ThreadingHTTPServer):
    def __init__(self, leak: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked, self.leak = 0, leak
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: _Scripted

    def log_message(self, *args: Any) -> None:
        return

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        reply = SCRIPT[min(self.server.asked, len(SCRIPT) - 1)].format(leak=self.server.leak)
        self.server.asked += 1
        message = {"role": "assistant", "content": reply}
        data = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def serving(model: str) -> ServePlan:
    """A model on llama.cpp, two requests at once."""
    request = ServeRequest(engine="llamacpp", context_tokens=2048, parallel=2, tuned=False)
    return pull_and_plan(model, request, settings.load())


def project_of(out: Path, proposer: Writer | None) -> Project:
    """A project whose endpoint ``writer`` is the proposer."""
    out.mkdir(parents=True, exist_ok=True)
    endpoint = "" if proposer is None else f'[[endpoints]]\nname = "writer"\nbase_url = "{proposer.url}"\n'
    if proposer is not None and proposer.api_key_env is not None:
        endpoint += f'api_key_env = "{proposer.api_key_env}"\n'
    (out / "freehold.toml").write_text(f'[app]\nname = "snips"\n[serve]\ncontext_tokens = 2048\n{endpoint}')
    return open_project(out / "freehold.toml")


def measured(
    served: ServePlan, preparation: Preparation | None, samples: list[Sample], cache: Path
) -> dict[str, Any]:
    """The held-out samples asked in one way."""

    async def ask() -> dict[str, Any]:
        prepared = msgspec.structs.replace(served, preparation=preparation)
        async with start(prepared, log_dir=cache, name="held-out") as endpoint:
            results = await replay(
                endpoint,
                served.served_name,
                samples,
                TASK,
                options=ReplayOptions(served.parallel, cache / "held-out.jsonl"),
            )
        malformed = sum(not one.score.format_ok for one in results)
        right = sum(one.score.value == 1.0 for one in results)
        tokens = [one.usage.prompt_tokens or 0 for one in results if one.usage is not None]
        return {
            "not_json": malformed / len(results),
            "not_json_95": [round(one, 3) for one in wilson_limits(malformed, len(results))],
            "right_intent": right / len(results),
            "prompt_tokens": sum(tokens) / len(tokens) if tokens else None,
        }

    return anyio.run(ask)


def searched(args: argparse.Namespace, dataset: Dataset, proposer: Writer | None, out: Path) -> PromptPlan:
    named = {"plain": None, "itself": "itself"}.get(
        args.search, f"writer/{proposer.model}" if proposer else None
    )
    request = PromptRequest(
        model=args.model,
        proposer=named,
        budget=PromptBudget(requests=args.proposals if named else None),
        samples=args.samples,
    )
    planned = plan(project_of(out, proposer), dataset, TASK, request)
    if named is None or args.after_plain:
        return planned
    return dataclasses.replace(planned, variants=planned.variants[:1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default=BASE)
    parser.add_argument("--search", default="plain", help="plain, itself, scripted, or a model that proposes")
    parser.add_argument("--proposals", type=int, default=60)
    parser.add_argument(
        "--after-plain", action="store_true", help="rewrite the best of the plain ways, as users do"
    )
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--held-out", type=int, default=200)
    args = parser.parse_args()
    out = args.out / f"{args.model.rpartition('/')[2]}-{args.search.rpartition('/')[2]}"
    if args.after_plain:
        out = out.with_name(f"{out.name}-after-plain")
    dataset = dataset_of(args.data, args.out / "datasets", args.samples, args.held_out)
    leak = next(building.samples(dataset, "validation")).messages[-1].content
    served, began = serving(args.model), time.monotonic()
    with proposer_at(args.search, f"Answer with JSON. {leak} is GetWeather.", out) as proposer:
        found = run(searched(args, dataset, proposer, out), served, progress=Silent())
    seconds, cpu = time.monotonic() - began, cpu_seconds()
    held_out = list(building.samples(dataset, "held_out"))
    asked = args.out / args.model.rpartition("/")[2]
    result = {
        "model": args.model,
        "search": args.search,
        "seconds": round(seconds),
        "processor_seconds": round(cpu),
        "load": os.getloadavg()[0],
        "proposer_requests": found.proposer_requests,
        "candidate_requests": found.candidate_requests,
        "replies": Counter(one.refused or "tried" for one in found.proposals),
        "stopped": found.stopped,
        "trials": [
            {
                "name": one.name,
                "samples": one.samples,
                "not_json": one.malformed_share,
                "right_intent": one.score,
                "prompt_tokens": one.prompt_tokens,
            }
            for one in found.trials
        ],
        "chosen": found.best.name,
        "diff": found.diff,
        "held_out": {
            "samples": len(held_out),
            "as_sent": measured(served, None, held_out, asked),
            "chosen": measured(served, found.preparation, held_out, asked),
        },
    }
    print(json.dumps(result, indent=1))


def cpu_seconds() -> float:
    """Processor time of this process and of the engines it started and has waited for."""
    own = psutil.Process().cpu_times()
    return own.user + own.system + own.children_user + own.children_system


if __name__ == "__main__":
    main()
