"""A sentence encoder with heads that answers from a closed set, served by the engine ``encoder``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio

from freehold import __version__
from freehold.errors import TrainingError, UnknownModelError, UsageError, WeightsError
from freehold.evals.scorers import scorer_of
from freehold.training.encoder import output, stands
from freehold.training.encoder.job import FORMAT, JUDGED, left_besides
from freehold.training.encoder.prepared import prepare
from freehold.types.encoder import WORDS_MODEL, EncoderConfig, EncoderLimits, EncoderModel, texts_of
from freehold.types.evaluation import Task
from freehold.types.gates import EncoderReference, ParityReport
from freehold.types.method import MethodName
from freehold.types.model import Weights
from freehold.types.record import content_id
from freehold.workflows.data.curate import SCORERS_AT_ONCE
from freehold.workflows.data.dataset import unlabelled_traffic
from freehold.workflows.journey.methods.method import Bench, Candidate, Made, NotMadeError
from freehold.workflows.journey.methods.sufficing import enough
from freehold.workflows.journey.methods.training import weights_of
from freehold.workflows.prove.encoder_parity import encoder_parity
from freehold.workflows.prove.evidence_basis import engine_part
from freehold.workflows.serve.encoder import plan_encoder
from freehold.workflows.train.encoder import FOLDER, train_encoder

FEWEST_VALIDATION = 40
"""Answers from which two counts of them can differ by a point for another reason than chance."""
MOST_APART = 0.01


class TrainedEncoder:
    """A `Method`: heads learn, and the encoder too where that is better."""

    name: MethodName = "encoder"
    trains = True

    def make(self, candidate: Candidate, bench: Bench) -> Made:
        """Fetch, train, and compare what is served with what was trained."""
        try:
            weights = weights_of(candidate, bench)
            encoder = _train(candidate, bench, weights)
        except (UnknownModelError, WeightsError, UsageError, TrainingError) as error:
            if bench.only_one:
                raise
            raise NotMadeError(
                error.message if error.hint is None else f"{error.message} ({error.hint})"
            ) from None
        config = bench.project.config
        planned = partial(
            plan_encoder,
            name=f"{candidate.model}:{config.app.name}",
            settings=bench.project.settings,
            context_tokens=config.serve.context_tokens,
            parallel=config.serve.parallel,
        )
        plan = planned(Path(encoder.path))
        fit = plan.memory
        if fit is not None and not fit.fits:
            reason = "; ".join(fit.reasons) or "it does not fit this machine"
            raise NotMadeError(reason, weights=weights, fit=fit)
        same_count(bench.task, output.read_answers(encoder))
        parity = bench.steps.run(
            f"parity:{candidate.key}",
            f"{candidate.short_name}: is it served as it was trained?",
            [plan.identity, engine_part(plan), encoder.id, bench.dataset.id, bench.task.options, __version__],
            ParityReport,
            lambda: encoder_parity(bench.project, plan=plan, encoder=encoder, progress=bench.progress),
        )
        if not parity.passed:
            bench.progress.say(parity.check_result().text)
        return Made(
            plan=plan,
            judged=planned(Path(encoder.path) / JUDGED) if encoder.relearned else None,
            weights=weights,
            fit=fit,
            encoder=encoder,
            parity=parity,
        )


def same_count(task: Task, answers: Sequence[EncoderReference]) -> None:
    """Raise `UsageError` where the trainer counts other answers to validation samples as right than the task's scorer:
    then what is proven is not what was learned. What the scorer cannot score is left out of both counts."""
    held = [one for one in answers if one.right is not None]
    if len(held) < FEWEST_VALIDATION or task.scorer not in SCORERS_AT_ONCE:
        return

    async def scored() -> list[float | None]:
        async with scorer_of(task) as scorer:
            return [(await scorer.score(one.sample, one.answer, one.sample.target)).value for one in held]

    counted = [(one, value) for one, value in zip(held, anyio.run(scored), strict=True) if value is not None]
    trainer, scorer_count = (
        sum(one.right is True for one, _ in counted),
        sum(value == 1.0 for _, value in counted),
    )
    if abs(trainer - scorer_count) > MOST_APART * len(counted):
        raise UsageError(
            f"the trainer and the scorer {task.scorer} disagree on what is right: of {len(counted):,} validation "
            f"answers the trainer counts {trainer:,} ({trainer / len(counted):.1%}), the scorer {scorer_count:,} "
            f"({scorer_count / len(counted):.1%})",
            hint="[task] scorer and options have to say what a right answer is: docs/reference/scorers.md",
        )


def _train(candidate: Candidate, bench: Bench, weights: Weights) -> EncoderModel:
    train = candidate.training(bench.project.config)
    options = EncoderConfig(stage=candidate.settings.stage or "auto", seed=train.seed)
    texts = _unlabelled(candidate, bench)
    limits = EncoderLimits(enough=enough(bench), minutes=bench.limited(train.max_minutes))
    made = bench.steps.run(
        f"train:{candidate.key}",
        f"{candidate.short_name}: learn the task",
        [FORMAT, weights.sha256, bench.dataset.id, options, content_id(list(texts))],
        EncoderModel,
        lambda: train_encoder(
            config=options,
            dataset=bench.dataset,
            base=weights,
            out_dir=bench.project.state / FOLDER,
            name=bench.project.config.app.name,
            settings=bench.project.settings,
            progress=bench.progress,
            unlabelled=texts,
            limits=limits,
        ),
        still_there=lambda made: (
            (bench.minutes is None or stands(made, limits))
            and all((Path(made.path) / file).exists() for file in (*made.files, *left_besides(made)))
        ),
    )
    bench.store.put(made, made_from=made.made_from)
    return made


def _unlabelled(candidate: Candidate, bench: Bench) -> tuple[str, ...]:
    """Messages without an answer, as an encoder reads them."""
    if not bench.project.config.data.unlabelled or candidate.model == WORDS_MODEL:
        return ()
    if (stage := candidate.settings.stage) in ("frozen", "tuned"):
        bench.progress.say(f"{candidate.short_name}: stage {stage} reads no unlabelled messages")
        return ()
    found = unlabelled_traffic(bench.project, bench.store, bench.dataset)
    for why, count in found.left_out.items():
        bench.progress.say(f"{count:,} messages without an answer are left out: {why}")
    lines = prepare(bench.dataset).system_lines
    read = (texts_of(one.messages, system_lines=lines)[0] for one in found.samples)
    return tuple(text for text in read if text)
