"""The methods by which a model is made a candidate, and what is true of each, whichever model it is used on."""

from __future__ import annotations

from typing import Literal

from freehold.types.record import Record

MethodName = Literal["as_is", "prompt", "examples", "encoder", "lora", "qlora"]


class MethodKind(Record, frozen=True, kw_only=True):
    """What is true of a method."""

    name: MethodName
    title: str
    """As it is said in a sentence."""
    parity: str | None = None
    """The reason a verdict must carry before promotion: that what is served is what was made. None where nothing is
    made, so that there is nothing to compare."""
    trains: bool = False
    """Weights learn from the dataset: the ruling counts where the data come from, and training samples are needed."""
    shows_answers: bool = False
    """Answers of the dataset are shown to the model that is asked: the ruling counts where they come from."""
    asks_elsewhere: bool = False
    """The model may run elsewhere, behind an address; otherwise it must be made and served here."""
    closed_set_only: bool = False
    """It answers from a closed set and can do nothing else."""


METHOD_KINDS: dict[MethodName, MethodKind] = {
    kind.name: kind
    for kind in (
        MethodKind(name="as_is", title="as it is", asks_elsewhere=True),
        MethodKind(name="prompt", title="a prompt of its own", asks_elsewhere=True),
        MethodKind(name="examples", title="with retrieved examples", shows_answers=True, asks_elsewhere=True),
        MethodKind(
            name="encoder",
            title="an encoder with heads",
            parity="parity_ok",
            trains=True,
            closed_set_only=True,
        ),
        MethodKind(name="lora", title="LoRA", parity="parity_ok", trains=True),
        MethodKind(name="qlora", title="QLoRA", parity="parity_ok", trains=True),
    )
}


def candidate_label(model: str, method: MethodName, endpoint: str | None, name: str | None) -> str:
    """What tells a candidate from all others of a project, for people: ``org/model · lora at house (rank 16)``."""
    where = f" at {endpoint}" if endpoint is not None else ""
    named = f" ({name})" if name is not None else ""
    return f"{model} · {method}{where}{named}"


def short_name(model: str, name: str | None) -> str:
    """The model without its publisher, with what tells it from others of that model."""
    short = model.rsplit("/", 1)[-1]
    return short if name is None else f"{short} ({name})"
