"""How many examples, in which order: settings measured on validation samples by the engine that serves the candidate.

By successive halving (Jamieson and Talwalkar 2016): every setting is asked a few samples, the better half of them as
many again, until one is left or 100 samples were asked. Samples are taken from the end of the split: a comparison
of candidates begins at its front. Answers are kept, so a measurement that was stopped goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from freehold import engines
from freehold.evals.chat.requests import chat_request
from freehold.evals.replay import ReplayOptions, replay, served_model
from freehold.preparing.conversation import TURN_TOKENS, prompt_bytes
from freehold.types.dataset import Sample
from freehold.types.endpoint import Endpoint, ServePlan
from freehold.types.evaluation import EvalResult, Task
from freehold.types.preparation import ExampleChoice, ExampleOrder, ExampleSetting, Preparation
from freehold.types.progress import Progress

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
