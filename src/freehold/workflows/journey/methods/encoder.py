"""A sentence encoder with heads that answers from a closed set, served by the engine ``encoder``."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from freehold import __version__
from freehold.datasets import building
from freehold.errors import UnknownModelError, UsageError, WeightsError
from freehold.types.encoder import EncoderConfig, EncoderModel
from freehold.types.method import MethodName
from freehold.types.model import Weights
from freehold.types.parity import ParityReport
from freehold.types.record import content_id
from freehold.workflows.journey.methods.method import Bench, Candidate, Made, NotMadeError
from freehold.workflows.journey.methods.teaching import TeachingData, taught
from freehold.workflows.prove.encoder_parity import MOST_MESSAGES, encoder_parity
from freehold.workflows.prove.evidence_basis import engine_part
from freehold.workflows.serve.encoder import plan_encoder
from freehold.workflows.train.encoder import FOLDER, train_encoder
from freehold.workflows.weights.pull import ensure_weights


class TrainedEncoder:
    """A `Method`: heads learn, and the encoder too where that is better."""

    name: MethodName = "encoder"
    trains = True

    def make(self, candidate: Candidate, bench: Bench) -> Made:
        """Fetch, train, and compare what is served with what was trained."""
        try:
            weights = _weights(candidate, bench)
            found = taught(candidate, bench, weights)
            encoder = _train(candidate, bench, weights, found)
        except (UnknownModelError, WeightsError, UsageError) as error:
            if bench.only_one:
                raise
            raise NotMadeError(
                error.message if error.hint is None else f"{error.message} ({error.hint})"
            ) from None
        config = bench.project.config
        plan = plan_encoder(
            Path(encoder.path),
            f"{candidate.model}:{config.app.name}",
            bench.project.settings,
            context_tokens=config.serve.context_tokens,
            parallel=config.serve.parallel,
        )
        fit = plan.memory
        if fit is not None and not fit.fits:
            reason = "; ".join(fit.reasons) or "it does not fit this machine"
            raise NotMadeError(reason, weights=weights, fit=fit)
        parity = bench.steps.run(
            f"parity:{candidate.key}",
            f"{candidate.short_name}: is it served as it was trained?",
            [plan.identity, engine_part(plan), encoder.id, bench.dataset.id, __version__],
            ParityReport,
            lambda: encoder_parity(
                bench.project,
                plan=plan,
                encoder=encoder,
                base=weights,
                samples=list(islice(building.samples(bench.dataset, "held_out"), MOST_MESSAGES)),
                progress=bench.progress,
            ),
        )
        if not parity.passed:
            bench.progress.say(parity.check_result().text)
        return Made(
            plan=plan, weights=weights, fit=fit, encoder=encoder, parity=parity, teaching=found.teaching
        )


def _weights(candidate: Candidate, bench: Bench) -> Weights:
    settings = bench.project.settings
    return bench.steps.run(
        f"weights:{candidate.key}",
        f"{candidate.short_name}: get the weights",
        [candidate.model, str(settings.home)],
        Weights,
        lambda: ensure_weights(candidate.model, settings, progress=bench.progress),
        still_there=lambda weights: weights.path is not None and Path(weights.path).exists(),
    )


def _train(candidate: Candidate, bench: Bench, weights: Weights, found: TeachingData) -> EncoderModel:
    options = encoder_options(candidate, bench)
    texts = found.texts()
    made = bench.steps.run(
        f"train:{candidate.key}",
        f"{candidate.short_name}: learn the task",
        [weights.sha256, found.dataset.id, options, content_id(list(texts))],
        EncoderModel,
        lambda: train_encoder(
            config=options,
            dataset=found.dataset,
            base=weights,
            out_dir=bench.project.state / FOLDER,
            name=bench.project.config.app.name,
            settings=bench.project.settings,
            progress=bench.progress,
            unlabelled=texts,
        ),
        still_there=lambda made: all((Path(made.path) / file).exists() for file in made.files),
    )
    bench.store.put(made, made_from=made.made_from)
    return made


def encoder_options(candidate: Candidate, bench: Bench) -> EncoderConfig:
    """Options of the training: what the candidate says, and of ``[train]`` what means the same here."""
    train = candidate.training(bench.project.config)
    return EncoderConfig(
        stage=candidate.settings.stage or "auto",
        seed=train.seed,
        max_minutes=train.max_minutes,
        threads=train.threads,
    )
