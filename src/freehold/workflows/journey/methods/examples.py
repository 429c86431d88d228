"""A model as it is, asked with the training samples that are nearest to each question before it."""

from __future__ import annotations

import functools
from pathlib import Path

import anyio
import msgspec

from freehold import __version__
from freehold.datasets import building
from freehold.engines import load
from freehold.preparing.index import WrittenIndex, is_there, require, write_index
from freehold.types.dataset import Sample
from freehold.types.encoder import EncoderModel
from freehold.types.endpoint import ExampleChoice, ExampleIndex, ExampleOrder, Preparation
from freehold.types.method import MethodName
from freehold.workflows.journey.examples import Gathered, choose, gather, near_twins, refusal, with_setting
from freehold.workflows.journey.methods.as_is import AsIs
from freehold.workflows.journey.methods.method import Bench, Candidate, Made, NotMadeError
from freehold.workflows.prove.task import labels_held

NUMBERS = (2, 4, 8, 16)
ORDERS: tuple[ExampleOrder, ...] = ("nearest_last", "nearest_first")


class WithExamples:
    """A `Method`: nothing is trained; the examples are part of what is served."""

    name: MethodName = "examples"
    trains = False

    def make(self, candidate: Candidate, bench: Bench) -> Made:
        """Write the index, fetch and fit as `as_is` does, and choose how many examples in which order."""
        request = bench.request(candidate)
        load(request.engine).require(request.options, bench.project.settings)
        gathered = gather(bench.dataset)
        if (why := refusal(gathered, bench.dataset, bench.task, request.context_tokens)) is not None:
            raise NotMadeError(why)
        encoder = _encoder(bench)
        if encoder is None:
            require()
        if gathered.left_out:
            total = len(gathered.examples) + gathered.left_out
            bench.progress.say(
                f"{gathered.left_out:,} of {total:,} training samples cannot be shown as one question and answer"
            )
        written = _index(candidate, bench, gathered, encoder)
        made = AsIs().make(candidate, bench)
        plan = made.plan
        preparation = Preparation.of(
            base_model=candidate.model,
            dataset_id=bench.dataset.id,
            system_was=gathered.system,
            examples=ExampleIndex(
                path=written.path,
                sha256=written.sha256,
                samples=written.samples,
                k=1,
                retriever=written.retriever,
                context_tokens=plan.context_tokens,
                answer_tokens=bench.task.max_tokens,
            ),
            made_from=(bench.dataset.id,),
        )
        choice = _choice(candidate, bench, made, preparation, gathered)
        preparation = with_setting(preparation, choice.k, choice.order, choice.tokens_per_byte)
        bench.store.put(preparation, made_from=preparation.made_from)
        bench.progress.say(told(choice, written.samples))
        return msgspec.structs.replace(made, plan=msgspec.structs.replace(plan, preparation=preparation))


def told(choice: ExampleChoice, samples: int) -> str:
    """What was chosen and what it was chosen by, in a sentence."""
    how = f"{choice.k} of {samples:,} examples, {choice.order.replace('_', ' ')}"
    best = next((one for one in choice.tried if (one.k, one.order) == (choice.k, choice.order)), None)
    without = next((one for one in choice.tried if one.k == 0), None)
    if best is None or best.mean is None:
        return how
    beside = (
        ""
        if without is None or without.mean is None
        else f"; without any {without.mean:.0%} of {without.scored}"
    )
    return f"{how}: {best.mean:.0%} of {best.scored} validation samples{beside}"


def _encoder(bench: Bench) -> Path | None:
    """The folder of the newest encoder that was trained on this dataset; None where words are to find the examples."""
    there = [
        Path(one.path)
        for one in bench.store.records(EncoderModel)
        if one.dataset_id == bench.dataset.id and one.manifest.runs_on == "onnx" and Path(one.path).is_dir()
    ]
    return there[-1] if there else None


def _index(candidate: Candidate, bench: Bench, gathered: Gathered, encoder: Path | None) -> WrittenIndex:
    return bench.steps.run(
        f"index:{candidate.key}",
        f"{candidate.short_name}: index the examples",
        [bench.dataset.id, None if encoder is None else str(encoder), __version__],
        WrittenIndex,
        lambda: write_index(gathered.examples, bench.project.state / "examples", encoder=encoder),
        still_there=is_there,
    )


def _choice(
    candidate: Candidate, bench: Bench, made: Made, preparation: Preparation, gathered: Gathered
) -> ExampleChoice:
    settings = [(k, order) for k in NUMBERS if k <= len(gathered.examples) for order in ORDERS]
    plan = msgspec.structs.replace(made.plan, labels=labels_held(bench.task, bench.dataset))
    inputs = [plan.identity, preparation.id, settings, bench.task, __version__]
    return bench.steps.run(
        f"examples:{candidate.key}",
        f"{candidate.short_name}: how many examples?",
        inputs,
        ExampleChoice,
        lambda: anyio.run(
            functools.partial(
                choose,
                plan,
                preparation,
                settings or [(1, ORDERS[0])],
                _samples(bench, gathered),
                bench.task,
                folder=bench.project.state / "choosing" / candidate.key,
                progress=bench.progress,
            )
        ),
    )


def _samples(bench: Bench, gathered: Gathered) -> list[Sample]:
    """Validation samples that have no twin among the examples."""
    samples = list(building.samples(bench.dataset, "validation"))
    twins = near_twins(samples, gathered.examples)
    apart = [one for one in samples if one.id not in twins]
    if not apart:
        raise NotMadeError(
            "each validation sample asks what a training sample asks, so nothing tells how many examples to show: "
            "name k and order, or build a dataset of more different samples"
        )
    return apart
