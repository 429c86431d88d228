"""A judge: a model that scores answers, by a rubric that people write as a TOML file and keep with their project.

A judge that reads "the right answer is ..." prefers what equals it. Where no right answer is known, the incumbent's
answer is what other scorers compare with; told to a judge it would decide the judgement.

Covered: pairs in both orders, single answers on a scale. Not covered: what the judge can't know (a policy, a price
list): put it into the rubric or the reference.
"""

from __future__ import annotations

import asyncio
import re
import string
import tomllib
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple

import msgspec

from freehold.errors import ConfigError
from freehold.evals.asking import AnswerCache
from freehold.evals.client import ChatClient, Patience
from freehold.evals.scorer import Options
from freehold.evals.text import collapsed, normalized_label
from freehold.types.dataset import Sample
from freehold.types.endpoint import Endpoint
from freehold.types.record import content_id

_ALLOWED = {
    "pairwise": {"question", "reference", "answer_a", "answer_b"},
    "absolute": {"question", "reference", "answer"},
}


class Rubric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`prompt` is a template with ``{question}``, ``{reference}`` and ``{answer}`` (absolute) or ``{answer_a}`` and
    ``{answer_b}`` (pairwise). `verdict` is a pattern whose first group is the verdict; its last match counts.
    """

    kind: Literal["pairwise", "absolute"]
    prompt: str
    verdict: str
    system: str = ""
    lowest: float = 1
    highest: float = 10

    def messages(self, **parts: str) -> list[dict[str, str]]:
        """The messages of one judgement. Braces in the parts are left alone."""
        system = [{"role": "system", "content": self.system.strip()}] if self.system.strip() else []
        return [*system, {"role": "user", "content": self.prompt.format(**parts).strip()}]

    def verdict_in(self, text: str) -> str | None:
        """The verdict in a judge's answer, None where there is none."""
        matches = list(re.finditer(self.verdict, text))
        return matches[-1].group(1) if matches else None


def load(path: Path | None, kind: Literal["pairwise", "absolute"]) -> Rubric:
    """The rubric in a file, or the one freehold ships. Raises `ConfigError` naming what is wrong."""
    place = str(path or f"{kind} rubric")
    try:
        text = (
            resources.files("freehold.evals").joinpath("rubrics", f"{kind}.toml").read_text(encoding="utf-8")
            if path is None
            else path.read_text(encoding="utf-8")
        )
        rubric = msgspec.convert(tomllib.loads(text), Rubric)
    except OSError as error:
        raise ConfigError(f"{place}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ConfigError(f"{place}: not valid TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise ConfigError(f"{place}: {error}") from None
    if rubric.kind != kind:
        raise ConfigError(
            f"{place}: kind is {rubric.kind}, expected {kind}",
            hint="the kind must be that of task.options.mode",
        )
    try:
        fields = {name for _, name, _, _ in string.Formatter().parse(rubric.prompt) if name is not None}
        groups = re.compile(rubric.verdict).groups
    except (ValueError, re.error) as error:
        raise ConfigError(f"{place}: prompt or verdict can't be read: {error}") from None
    if unknown := fields - _ALLOWED[kind]:
        raise ConfigError(
            f"{place}: the prompt names {', '.join(sorted(unknown))}",
            hint=f"known: {', '.join(sorted(_ALLOWED[kind]))}",
        )
    wanted = {"answer_a", "answer_b"} if kind == "pairwise" else {"answer"}
    if missing := wanted - fields:
        raise ConfigError(f"{place}: the prompt lacks {', '.join(sorted(missing))}")
    if groups < 1:
        raise ConfigError(f"{place}: verdict has no group", hint=r"for example '\[\[(A|B|C)\]\]'")
    if not rubric.lowest < rubric.highest:
        raise ConfigError(f"{place}: lowest is {rubric.lowest:g}, highest {rubric.highest:g}")
    return rubric


_FAMILIES: tuple[tuple[str, str], ...] = (
    (r"gpt|chatgpt|davinci|babbage|^o\d|/o\d|text-embedding", "openai"),
    (r"claude", "anthropic"),
    (r"gemini|gemma|palm|bard", "google"),
    (r"llama|vicuna|guanaco|alpaca", "llama"),
    (r"mistral|mixtral|ministral|codestral|magistral", "mistral"),
    (r"qwen|qwq", "qwen"),
    (r"deepseek", "deepseek"),
    (r"phi-?\d", "microsoft"),
    (r"command|aya", "cohere"),
    (r"grok", "xai"),
    (r"smollm", "huggingface"),
    (r"granite", "ibm"),
    (r"olmo|tulu", "ai2"),
)


def family(model: str) -> str | None:
    """The family a model's name tells, None where it tells nothing."""
    name = model.lower()
    return next((maker for pattern, maker in _FAMILIES if re.search(pattern, name)), None)


def same_family(one: str, other: str) -> bool:
    """Whether both names tell the same family. Unknown names count as unrelated."""
    known = family(one)
    return known is not None and known == family(other)


def same_answer(one: str | None, other: str | None) -> bool:
    """Whether two answers are the same but for white space: equally good, whatever a judge would say."""
    return collapsed(one or "") == collapsed(other or "")


def told_answer(sample: Sample, *answers: str | None) -> str | None:
    """The right answer that a judge of `answers` is told, None where it is told none.

    Only gold is told, and only where it is neither the incumbent's recorded answer nor one of `answers`, whatever
    their case and punctuation: such a gold may have been copied from it. Withheld for either side alike, so that
    telling it favours neither.
    """
    gold = sample.gold
    if gold is None or not gold.strip():
        return None
    told = _bare(gold)
    return (
        None if any(told == _bare(one) for one in (sample.incumbent, *answers) if one is not None) else gold
    )


def _bare(text: str) -> str:
    return normalized_label(text) or collapsed(text)


Choice = Literal["C", "I", "T"]
"""A judgement of a pair: candidate, incumbent, tie."""


class JudgeOptions(Options, frozen=True, kw_only=True):
    """`base_url` and `model` of the judge's API; `api_key_env` names the variable with its key.

    `mode`: ``pairwise`` compares candidate and incumbent, in both orders; ``absolute`` grades each answer alone.
    `rubric` is a TOML file, `human_labels` a file of human labels (``freehold label``) that calibrates the
    judge, `cache` a file where judgements are kept.
    """

    base_url: str
    model: str
    api_key_env: str | None = None
    mode: Literal["pairwise", "absolute"] = "pairwise"
    rubric: str | None = None
    human_labels: str | None = None
    cache: str | None = None
    max_tokens: int = 512
    concurrency: int = 4
    streaming: bool = False


class Grade(NamedTuple):
    """A grade from 0 to 1, or why there is none."""

    value: float | None
    reason: str


class PairJudgement(NamedTuple):
    """Both orders of one pair: the candidate's answer first, then second. None where unreadable, with the reason."""

    candidate_first: Choice | None
    candidate_second: Choice | None
    reason: str | None = None


class Judge:
    """Asks the judge; an async context manager."""

    def __init__(self, options: JudgeOptions, *, patience: Patience | None = None) -> None:
        if options.concurrency < 1:
            raise ConfigError(f"scorer judge: concurrency is {options.concurrency}, expected at least 1")
        self.options = options
        self.rubric: Rubric = load(Path(options.rubric) if options.rubric else None, options.mode)
        endpoint = Endpoint(
            name=options.base_url, engine="remote", base_url=options.base_url, api_key_env=options.api_key_env
        )
        self._client = ChatClient(
            endpoint, concurrency=options.concurrency, patience=patience, stream=options.streaming
        )
        self._cache = AnswerCache(Path(options.cache) if options.cache else None)
        self._grades: dict[tuple[str, str, str | None], asyncio.Task[Grade]] = {}

    async def __aenter__(self) -> Judge:
        self._cache.__enter__()
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._client.__aexit__(kind, error, trace)
        finally:
            self._cache.__exit__(kind, error, trace)

    async def grade(self, question: str, answer: str, reference: str | None) -> Grade:
        """One answer on the rubric's scale, as a share from 0 to 1.

        Answers that differ only in white space get one grade between them: a judge need not repeat itself.
        """
        asked = question, collapsed(answer), reference
        if asked not in self._grades:
            self._grades[asked] = asyncio.create_task(self._grade(question, answer, reference))
        return await self._grades[asked]

    async def _grade(self, question: str, answer: str, reference: str | None) -> Grade:
        text, error = await self._ask(
            self.rubric.messages(question=question, answer=answer, reference=reference or "–")
        )
        if text is None:
            return Grade(None, f"judge_failed: {error}")
        found = self.rubric.verdict_in(text)
        try:
            value = float(found) if found is not None else None
        except ValueError:
            value = None
        low, high = self.rubric.lowest, self.rubric.highest
        if value is None or not low <= value <= high:
            return Grade(None, "judge_unreadable: no grade on the scale in the judge's answer")
        return Grade((value - low) / (high - low), f"graded: {value:g} of {high:g}")

    async def compare(
        self, question: str, candidate: str, incumbent: str, reference: str | None
    ) -> PairJudgement:
        """The pair judged in both orders."""
        first, why = await self._order(question, candidate, incumbent, reference, ("C", "I"))
        second, why_not = await self._order(question, incumbent, candidate, reference, ("I", "C"))
        return PairJudgement(first, second, why or why_not)

    async def _order(
        self, question: str, a: str, b: str, reference: str | None, sides: tuple[Choice, Choice]
    ) -> tuple[Choice | None, str | None]:
        text, error = await self._ask(
            self.rubric.messages(question=question, answer_a=a, answer_b=b, reference=reference or "–")
        )
        if text is None:
            return None, f"judge_failed: {error}"
        found = (self.rubric.verdict_in(text) or "").strip().upper()
        if found in {"A", "1"}:
            return sides[0], None
        if found in {"B", "2"}:
            return sides[1], None
        if found in {"C", "TIE", "T", "0", "3"}:
            return "T", None
        return None, "judge_unreadable: no verdict in the judge's answer"

    async def _ask(self, messages: list[dict[str, str]]) -> tuple[str | None, str | None]:
        body: dict[str, Any] = {
            "model": self.options.model,
            "messages": messages,
            "temperature": 0.0,
            "max_tokens": self.options.max_tokens,
        }
        key = content_id({"judge": self.options.base_url, "body": body})
        answer = self._cache.get(key)
        if answer is None:
            answer = await self._client.ask(body)
            self._cache.put(key, answer)
        return (None, answer.error) if answer.fault is not None else (answer.output or "", None)
