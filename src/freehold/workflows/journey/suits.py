"""Do the methods of a project's candidates go with its task? Looked at before anything is fetched, made or asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import NamedTuple

from freehold.catalog import models as catalog
from freehold.errors import FreeholdError
from freehold.training.encoder.prepared import TaughtData, prepare
from freehold.types.config import ProjectConfig
from freehold.types.dataset import Dataset
from freehold.types.encoder import WORDS_MODEL
from freehold.types.finding import Finding, fail, ok
from freehold.types.method import METHOD_KINDS, MethodName
from freehold.workflows.journey.measuring import SELECTION_SPLIT
from freehold.workflows.journey.methods import METHODS, Candidate

CANDIDATES = "candidates"
_MODULES: dict[MethodName, tuple[str, str]] = {
    "lora": ("peft", "train"),
    "qlora": ("bitsandbytes", "qlora"),
    "encoder": ("sentence_transformers", "encoder"),
    "examples": ("bm25s", "examples"),
}
"""What a method imports that the base install leaves out, and the extra that brings it."""
_UNTRAINED = 'method = "as_is" asks the model as it is'


class Unsuited(NamedTuple):
    """Why a candidate cannot be made for this task, and the way out: a method that would do."""

    why: str
    fix: str


@dataclass(frozen=True)
class TaskFacts:
    """What methods ask about a dataset, each looked up once."""

    config: ProjectConfig
    dataset: Dataset

    @cached_property
    def training_samples(self) -> int:
        """Samples of the train split."""
        return self.dataset.split("train").samples

    @cached_property
    def taught(self) -> TaughtData | Unsuited:
        """What an encoder would learn; why it cannot, where answers are not from closed sets."""
        try:
            return prepare(self.dataset)
        except FreeholdError as error:
            return Unsuited(error.message, error.hint or 'method = "lora" has a model write its answers')

    @cached_property
    def copies(self) -> bool:
        """Whether a field has to be copied from the message, since no closed set has its values."""
        return not isinstance(self.taught, Unsuited) and prepare(self.dataset, copies=False).form.copies

    @property
    def not_closed(self) -> Unsuited | None:
        """Why its answers are not from closed sets; None where they are."""
        return self.taught if isinstance(self.taught, Unsuited) else None


def suit_findings(known: Sequence[Candidate], facts: TaskFacts) -> Iterator[Finding]:
    """One that fails for each candidate whose method and task do not go together."""
    encoder_before = False
    unsuited = []
    for one in known:
        if (found := unsuited_for(one, facts, encoder_before=encoder_before)) is not None:
            unsuited.append((one, found))
        encoder_before = encoder_before or (one.method == "encoder" and found is None)
    for one, found in unsuited:
        yield fail(CANDIDATES, f"{one.label}: {found.why}", found.fix)
    if len(known) > 1 and not facts.dataset.split(SELECTION_SPLIT).samples:
        yield fail(
            CANDIDATES,
            f"{len(known)} candidates and no sample to choose one of them by: the validation split is empty",
            "leave [data] validation out, or give it a share such as 0.2",
        )
    elif not unsuited:
        yield ok(
            CANDIDATES, f"{', '.join(dict.fromkeys(one.method for one in known))} can be made for this task"
        )


def unsuited_for(candidate: Candidate, facts: TaskFacts, *, encoder_before: bool = False) -> Unsuited | None:
    """Why this candidate cannot be made; None where nothing speaks against it. `encoder_before` says that an encoder
    will have been trained on the dataset by then, which may find examples."""
    kind, method = METHOD_KINDS[candidate.method], candidate.method
    if method not in METHODS:
        return Unsuited(f"method {method} is not in this version", f"one of {', '.join(METHODS)}")
    if not kind.asks_elsewhere and candidate.endpoint is not None:
        return Unsuited(
            f"method {method} trains weights, and an endpoint gives none",
            'method = "as_is", "prompt" or "examples" asks it as it is; without endpoint it is trained here',
        )
    if (unsuited := _unsuited_model(candidate)) is not None:
        return unsuited
    engine = facts.config.engine
    if kind.trains and not kind.closed_set_only and engine.brings_weights:
        return Unsuited(f"{engine.title} serves what it has, so nothing can be trained for it", _UNTRAINED)
    if (kind.trains or method == "examples") and not facts.training_samples:
        return Unsuited(f"method {method} needs training samples, and the dataset has none", _UNTRAINED)
    if kind.closed_set_only and facts.not_closed is not None:
        return facts.not_closed
    if candidate.model == WORDS_MODEL and facts.copies:
        return Unsuited("words alone copy nothing from a message", "a sentence encoder does")
    if (missing := missing_for(candidate, encoder_before=encoder_before)) is not None:
        return missing
    return None


def _unsuited_model(candidate: Candidate) -> Unsuited | None:
    """A model that the catalog knows, with a method of the other kind: one that writes text, or only reads it."""
    known = None if candidate.endpoint is not None else catalog.find(candidate.model)
    if known is None or known.encoder == (candidate.method == "encoder"):
        return None
    if known.encoder:
        return Unsuited(
            f"it is a sentence encoder, which reads text and writes none, and method {candidate.method} wants a model "
            "that writes",
            'method = "encoder" trains it to answer from a closed set',
        )
    return Unsuited(
        "method encoder trains a sentence encoder, and this model writes text",
        'method = "lora" trains it to answer',
    )


def missing_for(candidate: Candidate, *, encoder_before: bool = False) -> Unsuited | None:
    """What is to be installed before this candidate can be made; None where all is here."""
    if candidate.method == "examples" and encoder_before:
        return None  # an encoder finds them, by meaning
    return missing_extra(candidate.method, candidate.model)


def missing_extra(method: MethodName, model: str | None = None) -> Unsuited | None:
    """What is to be installed before the method can be used, on a model where it needs more than others; None where all
    is here."""
    if method not in _MODULES:
        return None
    module, extra = ("sklearn", "encoder") if model == WORDS_MODEL else _MODULES[method]
    if find_spec(module) is not None:
        return None
    return Unsuited(
        f"method {method} needs {module}, which is not installed", f"pip install 'freehold[{extra}]'"
    )
