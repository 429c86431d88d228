"""Training samples that can be shown as examples, and why a candidate cannot be made of them.

A sample is shown as one question and one answer: those of longer conversations, with tools, or with anything besides
text are left out. Only the training split is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from freehold.datasets import building
from freehold.preparing.conversation import prepare, question_of
from freehold.types.dataset import Dataset, Message, Sample
from freehold.types.evaluation import Task
from freehold.types.preparation import Example, ExampleIndex, Preparation

SYSTEM_ROLES = ("system", "developer")
FEWEST_TOKENS_PER_BYTE = 0.2
"""Of English in a large vocabulary. A context that is too short by this is too short for every model."""
_LOOKED_AT = 200
"""Requests of the validation split that tell whether the context has room."""


class Gathered(NamedTuple):
    """What can be shown. `system` is the system prompt that all training samples share, None where there is none or
    there are several; `left_out` counts samples that cannot be shown."""

    examples: tuple[Example, ...]
    system: str | None
    left_out: int


def gather(dataset: Dataset) -> Gathered:
    """The examples of a dataset's training split. Raises `StorageError` for a file that was changed."""
    examples: list[Example] = []
    systems: dict[str, str] = {}
    total = 0
    for sample in building.samples(dataset, "train"):
        total += 1
        said = "\n".join(_texts(one for one in sample.messages if one.role in SYSTEM_ROLES))
        systems.setdefault(" ".join(said.split()), said)
        if (shown := example_of(sample)) is not None:
            examples.append(shown)
    system = next(iter(systems.values())) if len(systems) == 1 else None
    return Gathered(tuple(examples), system or None, total - len(examples))


def example_of(sample: Sample) -> Example | None:
    """A sample as it is shown; None where it is more than one question and one answer in plain text."""
    asked = [one for one in sample.messages if one.role not in SYSTEM_ROLES]
    answer = sample.answer
    if sample.tools or sample.disliked or len(asked) != 1 or asked[0].role != "user" or len(answer) != 1:
        return None
    question, said = asked[0].content, answer[0].content
    if not isinstance(question, str) or not isinstance(said, str) or answer[0].tool_calls or not said.strip():
        return None
    return Example(id=sample.id, question=question, answer=said)


def refusal(gathered: Gathered, dataset: Dataset, task: Task, context_tokens: int) -> str | None:
    """Why no candidate can be made with these examples; None where one can. Asked before anything is fetched."""
    if not dataset.split("train").samples:
        return "there are no training samples to show as examples: method as_is asks without"
    if not gathered.examples:
        return (
            f"none of the {gathered.left_out:,} training samples is one question and one answer in plain text, so none "
            "can be shown as an example: method prompt or lora may do"
        )
    requests = list(islice(building.samples(dataset, "validation"), _LOOKED_AT))
    if not requests:
        return "the validation split, on which the number of examples is chosen, holds no samples"
    smallest = min(gathered.examples, key=lambda one: len(one.question) + len(one.answer))
    index = ExampleIndex(
        path="",
        sha256="",
        samples=1,
        k=1,
        context_tokens=context_tokens,
        answer_tokens=task.max_tokens,
        tokens_per_byte=FEWEST_TOKENS_PER_BYTE,
    )
    how = Preparation.of(base_model="", dataset_id=dataset.id, examples=index)
    fit = sum(prepare(_body(one, task), how, [smallest]).examples for one in requests)
    if fit * 2 < len(requests):
        return (
            f"a context of {context_tokens:,} tokens has no room for one example beside the request and an answer of "
            f"{task.max_tokens:,} tokens ([serve] context_tokens, [task] max_tokens): method lora needs none"
        )
    return None


def near_twins(samples: Iterable[Sample], examples: Iterable[Example]) -> set[str]:
    """The ids of samples whose question stands among the examples, but for case, spaces and marks: to measure on them
    would show how well a model copies."""
    known = {_letters(one.question) for one in examples}
    return {one.id for one in samples if _letters(question_of(_body(one, None))) in known}


def _letters(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum())


def _body(sample: Sample, task: Task | None) -> dict[str, object]:
    messages = [{"role": one.role, "content": one.content} for one in sample.messages]
    body: dict[str, object] = {"messages": messages}
    return body if task is None else {**body, "max_tokens": task.max_tokens, "tools": sample.tools}


def _texts(messages: Iterable[Message]) -> list[str]:
    return [one.content for one in messages if isinstance(one.content, str)]
