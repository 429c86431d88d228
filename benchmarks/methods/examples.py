"""Banking77 without any training: SmolLM2-135M asked with the nearest training messages before each question.

    python -m benchmarks.methods.examples --data ../shared/data/banking77 --out /tmp/examples \\
        --encoder FOLDER

Prints one JSON object: for each way of finding examples how many of the test messages are answered by the label, letter
for letter, and with --held how many where answers are held to the 77 labels; what one search takes of the processor's
time; and how often the nearest message has the right label. `--encoder` is a folder of the sentence encoder's
safetensors. Answers are kept in `--out`. The data are CC-BY-4.0 (Casanueva et al. 2020, arXiv:2003.04807) and are not
copied here.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any

import anyio
import msgspec

from benchmarks.training.samples import BASE, SYSTEM, samples_of
from freehold import settings
from freehold.engines import start
from freehold.evals.replay import ReplayOptions, replay
from freehold.preparing.conversation import prepare, question_of, unprepared
from freehold.preparing.index import WrittenIndex, open_index, write_index
from freehold.stats.binary import wilson_limits
from freehold.types.dataset import Sample
from freehold.types.encoder import EncoderManifest
from freehold.types.endpoint import ExampleIndex, Preparation, ServePlan
from freehold.types.evaluation import Task
from freehold.workflows.journey.examples import example_of
from freehold.workflows.serve import plan as serving
from freehold.workflows.serve.plan import ServeRequest
from freehold.workflows.weights.pull import ensure_weights

ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
CONTEXT_TOKENS = 2048


def encoder_at(folder: Path, source: str) -> Path:
    """MiniLM as an encoder's folder, without heads."""
    from freehold.training.encoder import base, output

    if not (folder / "encoder.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        weights = ensure_weights(source, settings.load())
        loaded = base.load(weights)
        output.export(loaded, folder, tokens=False)
        manifest = EncoderManifest(
            base_model=ENCODER,
            base_sha256=weights.sha256 or "",
            width=loaded.width,
            answer="label",
            fields=(),
        )
        (folder / "encoder.json").write_bytes(msgspec.json.encode(manifest))
    return folder


def preparation_of(written: WrittenIndex, k: int) -> Preparation:
    index = ExampleIndex(
        path=written.path,
        sha256=written.sha256,
        samples=written.samples,
        k=k,
        retriever=written.retriever,
        context_tokens=CONTEXT_TOKENS,
        answer_tokens=24,
    )
    return Preparation.of(base_model=BASE, dataset_id="banking77", system_was=SYSTEM, examples=index)


def searched(preparation: Preparation, asked: list[Sample], answers: dict[str, str]) -> dict[str, Any]:
    """Processor time of finding and of preparing, and how good what was found is."""
    assert preparation.examples is not None
    began = time.process_time()
    finder = open_index(preparation.examples)
    opened = time.process_time() - began
    bodies = [
        {"messages": [{"role": one.role, "content": one.content} for one in sample.messages]}
        for sample in asked
    ]
    began = time.process_time()
    found = [finder.nearest(question_of(body), preparation.examples.k) for body in bodies]
    searching = time.process_time() - began
    began = time.process_time()
    for body, near in zip(bodies, found, strict=True):
        assert unprepared(body, preparation) is None
        prepare(body, preparation, near)
    preparing = time.process_time() - began
    first = sum(near[0].answer == answers[one.id] for one, near in zip(asked, found, strict=True))
    among = sum(
        any(e.answer == answers[one.id] for e in near) for one, near in zip(asked, found, strict=True)
    )
    return {
        "open_cpu_s": round(opened, 3),
        "search_cpu_ms": round(searching / len(asked) * 1000, 3),
        "prepare_cpu_ms": round(preparing / len(asked) * 1000, 3),
        "nearest_has_the_label": first,
        "one_of_k_has_the_label": among,
    }


def asked_right(plan: ServePlan, asked: list[Sample], folder: Path) -> dict[str, Any]:
    """How many are right, letter for letter."""
    task = Task(name="banking77", scorer="exact", max_tokens=24)

    async def run() -> Any:
        async with start(plan, log_dir=folder, name="examples") as endpoint:
            return await replay(
                endpoint,
                plan.model,
                asked,
                task,
                options=ReplayOptions(plan.parallel, folder / "answers.jsonl"),
            )

    results = anyio.run(run)
    right = sum(one.score.value == 1 for one in results)
    low, high = wilson_limits(right, len(results))
    return {
        "right": right,
        "of": len(results),
        "ci95": [round(low, 3), round(high, 3)],
        "prompt_tokens_mean": round(
            sum(one.usage.prompt_tokens for one in results if one.usage) / len(results), 1
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--encoder", default=ENCODER)
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--held", action="store_true", help="Ask held to the labels as well.")
    parser.add_argument("--k", type=int, default=8)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    train = samples_of(arguments.data / "train.csv", "train")
    asked = random.Random(0).sample(samples_of(arguments.data / "test.csv", "test"), arguments.messages)
    answers = {one.id: one.gold or "" for one in asked}
    examples = [shown for one in train if (shown := example_of(one)) is not None]
    labels = tuple(sorted({one.answer for one in examples}))
    request = ServeRequest(engine="llamacpp", context_tokens=CONTEXT_TOKENS, parallel=2)
    plan = serving.plan(ensure_weights(BASE, settings.load()), request, settings.load(), name="base")
    told: dict[str, Any] = {"k": arguments.k, "examples": len(examples)}
    indexes = {
        "bm25": write_index(examples, arguments.out / "examples"),
        "encoder": write_index(
            examples,
            arguments.out / "examples",
            encoder=encoder_at(arguments.out / "encoder", arguments.encoder),
        ),
    }
    ways: dict[str, Preparation | None] = {
        name: preparation_of(written, arguments.k) for name, written in indexes.items()
    }
    ways["without"] = None
    for name, preparation in ways.items():
        way = told[name] = {}
        if preparation is not None:
            way |= searched(preparation, asked, answers)
        prepared = msgspec.structs.replace(plan, preparation=preparation)
        way["free"] = asked_right(prepared, asked, arguments.out)
        if arguments.held:
            way["held"] = asked_right(msgspec.structs.replace(prepared, labels=labels), asked, arguments.out)
        print(json.dumps({name: way}), flush=True)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
