"""`freehold dataset show --tokens`, and the same on the screen Data: samples as the tokens that are trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from freehold.errors import HashMismatchError, UnknownModelError, UsageError, WeightsError
from freehold.store import Store, open_store
from freehold.training.token_masks.caller import MaskCaller
from freehold.training.token_masks.masking import masked, tokenizer_of
from freehold.types.config import DEFAULT_MODEL, FinetuneConfig
from freehold.types.dataset import Dataset, Sample, SplitName
from freehold.types.model import Weights
from freehold.types.planning.token_mask import BaseReason, MaskedSamples, MaskRequest, TokenMasks
from freehold.types.report import Report
from freehold.types.training import Adapter, TrainingResult, WholeModel
from freehold.workflows.data.sample_page import sample_page
from freehold.workflows.project import Project
from freehold.workflows.weights.pull import ensure_weights

NO_MASK_BASE = (
    "no candidate here writes text: an encoder reads a sample and learns its label, not tokens of it"
)
_caller = MaskCaller()


class MaskBase(NamedTuple):
    """Whose tokenizer shows a dataset's samples, with which options of training, and why."""

    model: str
    config: FinetuneConfig
    because: BaseReason


def mask_base(project: Project, store: Store, *, model: str | None = None) -> MaskBase | None:
    """The named model, else the base of the chosen candidate, of the last run, or of the first candidate that writes
    text. None where all candidates are encoders, which read text and write none, or answer elsewhere."""
    config = project.config.train
    if model is not None:
        return MaskBase(model, config, "named")
    report = store.latest(Report)
    chosen = None if report is None else report.chosen
    if chosen is not None and chosen.trained is not None:
        return MaskBase(chosen.trained.base_model, chosen.trained.config, "chosen")
    runs: list[TrainingResult] = [run for run in (store.latest(Adapter), store.latest(WholeModel)) if run]
    if runs:
        return MaskBase(runs[0].base_model, runs[0].config, "trained")
    first = project.config.learner()
    return None if first is None else MaskBase(first.model, project.config.train_of(first), "first")


def masks_here(project: Project, base: MaskBase, dataset: Dataset, samples: Sequence[Sample]) -> TokenMasks:
    """The samples as tokens, by a child process that keeps what it has loaded. Nothing is fetched.

    Raises `UsageError` where the base's weights are not here, `MissingExtraError`, `WeightsError`, `TrainingError`.
    """
    request = _request(project, base, dataset, samples)
    return _told(base, dataset, _caller.masks(request))


def dataset_masks(
    project: Project, dataset: Dataset, *, split: SplitName, count: int, model: str | None = None
) -> TokenMasks:
    """The first `count` samples of a split as tokens, in this process: for a command that ends with it.

    Raises `UsageError` where no candidate writes text or the base's weights are not here, `InputError` where the
    dataset's files are gone, and what the tokenizer raises: `MissingExtraError`, `WeightsError`, `TrainingError`.
    """
    with open_store(project.reading_url) as store:
        base = mask_base(project, store, model=model)
    if base is None:
        raise UsageError(NO_MASK_BASE, hint=f"--model {DEFAULT_MODEL}, or another one that writes text")
    samples = sample_page(dataset, split, most=count).samples
    request = _request(project, base, dataset, samples)
    tokenizer, calls = tokenizer_of(request)
    return _told(base, dataset, masked(tokenizer, calls, request))


def _request(project: Project, base: MaskBase, dataset: Dataset, samples: Sequence[Sample]) -> MaskRequest:
    weights = _weights_here(project, base.model)
    return MaskRequest(base=weights, dataset=dataset, config=base.config, samples=tuple(samples))


def _weights_here(project: Project, model: str) -> Weights:
    offline = dataclasses.replace(project.settings, offline=True)
    try:
        return ensure_weights(model, offline)
    except HashMismatchError:
        raise
    except (UnknownModelError, WeightsError):
        raise UsageError(
            f"the tokenizer of {model} is not here: it comes with the weights", hint=f"freehold pull {model}"
        ) from None


def _told(base: MaskBase, dataset: Dataset, found: MaskedSamples) -> TokenMasks:
    return TokenMasks(
        base_model=base.model,
        because=base.because,
        dataset_id=dataset.id,
        method=base.config.method,
        masked=found,
    )
