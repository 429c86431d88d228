"""Training samples shown as examples: which can be, why a candidate cannot be made of them, and how many are shown.

A sample is shown as one question and one answer: those of longer conversations, with tools, or with anything besides
text are left out. Only the training split is read.

How many, in which order, is measured on validation samples by the engine that serves the candidate, by successive
halving (Jamieson and Talwalkar 2016): every setting is asked a few samples, the better half of them as many again,
until one is left or 100 samples were asked. Samples are taken from the end of the split: a comparison of candidates
begins at its front. Answers are kept, so a measurement that was stopped goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec

from freehold import engines
from freehold.datasets import building
from freehold.evals.asking import chat_request
from freehold.evals.replay import ReplayOptions, replay, served_model
from freehold.preparing.conversation import TURN_TOKENS, prepare, prompt_bytes, question_of
from freehold.progress import Progress
from freehold.types.dataset import Dataset, Message, Sample
from freehold.types.endpoint import (
    Endpoint,
    Example,
    ExampleChoice,
    ExampleIndex,
    ExampleOrder,
    ExampleSetting,
    Preparation,
    ServePlan,
)
from freehold.types.evaluation import EvalResult, Task

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


ROUNDS = (25, 50, 100)
"""Samples that a setting has been asked after each round."""
COUNTED_ON = 8
"""Requests on which the engine counts tokens."""
CAUTIOUS_TOKENS_PER_BYTE = 1.0
"""Until the engine has counted: no usual vocabulary needs more."""
SAFETY = 1.1
"""How much more than the most that was counted is reckoned with."""


async def choose(
    plan: ServePlan,
    preparation: Preparation,
    settings: Sequence[tuple[int, ExampleOrder]],
    samples: Sequence[Sample],
    task: Task,
    *,
    folder: Path,
    progress: Progress,
) -> ExampleChoice:
    """The best of `settings` for a plan; of equally good ones the one with fewer examples.

    `folder` keeps answers and logs. Raises what starting the engine and `replay` raise.
    """
    async with engines.start(plan, log_dir=folder, name="examples") as endpoint:
        measuring = _Measuring(endpoint, plan, preparation, task, folder, progress)
        rate = await measuring.tokens_per_byte(settings[0], samples[-COUNTED_ON:])
        return await measuring.halve(settings, samples, rate)


class _Measuring:
    """Settings of one candidate, measured at its endpoint."""

    def __init__(
        self,
        endpoint: Endpoint,
        plan: ServePlan,
        preparation: Preparation,
        task: Task,
        folder: Path,
        progress: Progress,
    ) -> None:
        self._endpoint, self._plan, self._preparation = endpoint, plan, preparation
        self._task, self._progress = task, progress
        self._options = ReplayOptions(plan.parallel, cache_path=folder / "answers.jsonl")
        self._asked = 0

    async def tokens_per_byte(self, setting: tuple[int, ExampleOrder], samples: Sequence[Sample]) -> float:
        """The most tokens that the engine counts for a byte of a prompt; the cautious guess where it does not tell."""
        endpoint = self._with(*setting, CAUTIOUS_TOKENS_PER_BYTE)
        served = served_model(endpoint, self._plan.served_name)
        rates = []
        for sample, result in zip(samples, await self._ask(endpoint, samples), strict=True):
            if result.usage is not None and result.usage.prompt_tokens:
                body = chat_request(sample, served, self._task, endpoint)
                frames = TURN_TOKENS * len(body["messages"])
                rates.append(max(1, result.usage.prompt_tokens - frames) / prompt_bytes(body))
        return (
            round(min(CAUTIOUS_TOKENS_PER_BYTE, SAFETY * max(rates)), 3)
            if rates
            else CAUTIOUS_TOKENS_PER_BYTE
        )

    async def halve(
        self, settings: Sequence[tuple[int, ExampleOrder]], samples: Sequence[Sample], rate: float
    ) -> ExampleChoice:
        left = list(settings)
        tried: dict[tuple[int, ExampleOrder], ExampleSetting] = {}
        first = samples[-ROUNDS[0] :]
        without = (0, left[0][1])
        tried[without] = _setting(without, await self._ask(self._plain(), first))
        for most in ROUNDS:
            if len(left) == 1 and left[0] in tried:
                break
            shown = samples[-most:]
            for setting in left:
                tried[setting] = _setting(setting, await self._ask(self._with(*setting, rate), shown))
            left.sort(key=lambda one: _rank(tried[one]))
            left = left[: (len(left) + 1) // 2]
            if len(shown) == len(samples):
                break
        k, order = left[0]
        listed = tuple(sorted(tried.values(), key=lambda one: (one.k, one.order)))
        return ExampleChoice(k=k, order=order, tokens_per_byte=rate, tried=listed)

    async def _ask(self, endpoint: Endpoint, samples: Sequence[Sample]) -> list[EvalResult]:
        before = self._asked

        def tell(done: int, _: int) -> None:
            self._asked = before + done
            self._progress.update(self._asked, None, unit="answers")

        name = self._plan.served_name
        return await replay(endpoint, name, samples, self._task, options=self._options, on_progress=tell)

    def _plain(self) -> Endpoint:
        return _prepared(self._endpoint, self._plan.served_name, None)

    def _with(self, k: int, order: ExampleOrder, rate: float) -> Endpoint:
        return _prepared(
            self._endpoint, self._plan.served_name, with_setting(self._preparation, k, order, rate)
        )


def with_setting(
    preparation: Preparation, k: int, order: ExampleOrder, tokens_per_byte: float
) -> Preparation:
    """A preparation with `k` of its examples."""
    assert preparation.examples is not None
    index = msgspec.structs.replace(preparation.examples, k=k, order=order, tokens_per_byte=tokens_per_byte)
    fields = {**msgspec.structs.asdict(preparation), "examples": index}
    del fields["id"]
    return Preparation.of(**fields)


def _prepared(endpoint: Endpoint, name: str, preparation: Preparation | None) -> Endpoint:
    models = tuple(
        msgspec.structs.replace(one, preparation=preparation) if one.name == name else one
        for one in endpoint.models
    )
    return msgspec.structs.replace(endpoint, models=models)


def _setting(setting: tuple[int, ExampleOrder], results: Sequence[EvalResult]) -> ExampleSetting:
    scores = [one.score.value for one in results if one.score.value is not None]
    mean = sum(scores) / len(scores) if scores else None
    return ExampleSetting(k=setting[0], order=setting[1], asked=len(results), scored=len(scores), mean=mean)


def _rank(tried: ExampleSetting) -> tuple[float, int, bool]:
    return (float("inf") if tried.mean is None else -tried.mean, tried.k, tried.order == "nearest_first")
