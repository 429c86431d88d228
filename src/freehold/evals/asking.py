"""Asking a model what an application asked: requests, kept answers, and the one function that asks.

Answers are kept on disk as they come, so that a replay resumes where it stopped.

Every model that is measured is asked by one function, the incumbent too: what a recorded request said of how it
wants to be answered (`RecordedAsking`) is said to both.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple

import msgspec

from freehold.errors import StorageError, UpstreamError
from freehold.evals.client import ChatClient
from freehold.evals.scorer import ChatAnswer
from freehold.preparing.conversation import UNPREPARED, unprepared
from freehold.preparing.request import asked
from freehold.types.dataset import Sample
from freehold.types.endpoint import Endpoint, ServedModel
from freehold.types.evaluation import Task
from freehold.types.record import Record, content_id
from freehold.wire.errors import ApiError
from freehold.wire.tool_choice import one_tool


class _Line(Record, frozen=True, kw_only=True):
    key: str
    answer: ChatAnswer
    at: datetime


class AnswerCache:
    """A JSON-lines file of answers by key; a context manager. Without a path it lives in memory only.

    Each is the system's at once, so that a process that is killed loses none that was paid for; written through to the
    disk (fsync) every `batch` answers or `seconds`, and at the end. A last line cut by a crash is ignored and its
    request asked again. Raises `StorageError` when the file can't be written.
    """

    def __init__(self, path: Path | None, *, batch: int = 512, seconds: float = 2.0) -> None:
        self._path = path
        self._batch = batch
        self._seconds = seconds
        self._answers: dict[str, ChatAnswer] = {}
        self._file: BinaryIO | None = None
        self._unsynced = 0
        self._synced_at = 0.0

    def __enter__(self) -> AnswerCache:
        if self._path is None:
            return self
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.exists():
                self._read(self._path.read_bytes())
            self._file = self._path.open("ab")
            if self._file.tell() and not self._path.read_bytes().endswith(b"\n"):
                self._file.write(b"\n")
        except OSError as error:
            raise self._fault(error) from None
        self._synced_at = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            try:
                self._sync()
            finally:
                self._file.close()
                self._file = None

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: str) -> ChatAnswer | None:
        """The answer kept under `key`."""
        return self._answers.get(key)

    def put(self, key: str, answer: ChatAnswer) -> None:
        """Keep an answer, unless asking again could give a better one."""
        if not answer.keepable:
            return
        self._answers[key] = answer
        if self._file is None:
            return
        line = _Line(key=key, answer=answer, at=datetime.now(UTC))
        try:
            self._file.write(msgspec.json.encode(line) + b"\n")
            self._file.flush()
        except OSError as error:
            raise self._fault(error) from None
        self._unsynced += 1
        if self._unsynced >= self._batch or time.monotonic() - self._synced_at >= self._seconds:
            self._sync()

    def _read(self, data: bytes) -> None:
        for line in data.splitlines():
            try:
                kept = msgspec.json.decode(line, type=_Line)
            except (msgspec.DecodeError, msgspec.ValidationError):
                continue  # the line a crash cut short; its request is asked again
            self._answers[kept.key] = kept.answer

    def _sync(self) -> None:
        assert self._file is not None
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._fault(error) from None
        self._unsynced = 0
        self._synced_at = time.monotonic()

    def _fault(self, error: OSError) -> StorageError:
        return StorageError(
            f"{self._path}: answers cannot be kept: {error.strerror}",
            hint="free some space or check who owns the folder, then run again: what was kept is used",
        )


def oldest_answer(path: Path) -> datetime | None:
    """When the oldest answer of a file was given: the first, since a file only grows. None where there is none.

    The time of the file says less: one more answer, or one that is taken out, makes it new.
    """
    if not path.exists():
        return None
    with path.open("rb") as file:
        for line in file:
            with contextlib.suppress(msgspec.DecodeError):  # a line that a crash cut short
                return msgspec.json.decode(line, type=_Line).at
    return None


_UNREACHABLE_LIMIT = 8


class Budget(NamedTuple):
    """The most that may be spent. None means no limit. Counted in tokens as the endpoint reports them."""

    requests: int | None = None
    tokens: int | None = None


class Asker:
    """Asks what was not asked before. `expected` is how many requests there will be at least.

    With `telling`, answers carry how sure the model was: requests are sent with these fields, which change no answer
    and are therefore no part of a key, and what was kept without is asked for again. An endpoint that refuses them is
    asked without.
    """

    def __init__(
        self,
        client: ChatClient,
        cache: AnswerCache,
        budget: Budget | None,
        expected: int,
        *,
        telling: Mapping[str, Any] | None = None,
    ) -> None:
        self._client = client
        self._cache = cache
        self._budget = budget or Budget()
        self._unreachable_most = min(_UNREACHABLE_LIMIT, expected)
        self._asked = self._tokens = 0
        self._unreachable_in_a_row = 0
        self._telling = telling
        self._told = False

    @property
    def endpoint(self) -> Endpoint:
        """Who is asked."""
        return self._client.endpoint

    async def ask(self, key: str, body: dict[str, Any]) -> tuple[ChatAnswer, bool]:
        """The answer, and whether it was kept from before. Beyond the budget it is an infrastructure fault.

        Raises `UpstreamError` when the endpoint can't be reached several times in a row, and as `ChatClient.ask` does.
        """
        kept = self._cache.get(key)
        if kept is not None and (self._telling is None or kept.signals is not None):
            return kept, True
        answer = self._over_budget() or await self._ask(body)
        self._count(answer)
        if self._telling is not None and answer.signals is None:
            answer = msgspec.structs.replace(answer, signals={})
        self._cache.put(key, answer)
        return answer, False

    async def _ask(self, body: dict[str, Any]) -> ChatAnswer:
        answer = await self._client.ask({**(self._telling or {}), **body})
        if self._telling and not self._told and _is_refusal(answer):
            # APIs say in many words that they give no log-probabilities: what they do says it.
            plain = await self._client.ask(body)
            if not _is_refusal(plain):
                self._telling = {}
            answer = msgspec.structs.replace(plain, attempts=answer.attempts + plain.attempts)
        self._told = self._told or bool(answer.signals)
        return answer

    def _over_budget(self) -> ChatAnswer | None:
        for name, spent, limit in (
            ("requests", self._asked, self._budget.requests),
            ("tokens", self._tokens, self._budget.tokens),
        ):
            if limit is not None and spent >= limit:
                return ChatAnswer(
                    fault="infrastructure", error=f"budget_spent: {spent:,} of {limit:,} {name}", attempts=0
                )
        return None

    def _count(self, answer: ChatAnswer) -> None:
        self._asked += answer.attempts
        if answer.usage is not None:
            self._tokens += (answer.usage.prompt_tokens or 0) + (answer.usage.completion_tokens or 0)
        unreachable = answer.fault == "infrastructure" and (answer.error or "").startswith("unreachable")
        self._unreachable_in_a_row = self._unreachable_in_a_row + 1 if unreachable else 0
        if self._unreachable_in_a_row >= self._unreachable_most:
            raise UpstreamError(
                f"{self._client.endpoint.base_url} can't be reached: {(answer.error or '').partition(': ')[2]}",
                hint="start it, then run the same command again: answers so far are kept",
            )


def _is_refusal(answer: ChatAnswer) -> bool:
    return (answer.error or "").startswith("refused_request")


_OF_TOOLS = ("tool_choice", "parallel_tool_calls")


def asked_with(sample: Sample, task: Task | None, *, repeat: int = 0) -> dict[str, Any]:
    """The parameters a sample is asked with: those of the recorded request; what it does not say is the task's.

    A limit and a temperature are always sent, since the defaults of APIs and engines differ; not without a task, for an
    answer that stands beside one of live traffic. A recorded seed is moved on by `repeat`: a repeat is there to measure
    noise.
    """
    said = _said(sample)
    if repeat and "seed" in said:
        said["seed"] += repeat
    if task is None:
        return dict(said)
    return {"max_tokens": task.max_tokens, "temperature": task.temperature} | said


def chat_request(
    sample: Sample,
    served: ServedModel,
    task: Task | None,
    endpoint: Endpoint | None = None,
    *,
    repeat: int = 0,
) -> dict[str, Any]:
    """The body of an OpenAI chat request for `sample`; what the served model asks for is merged in last.

    With the `endpoint`, a choice of one tool is said in the way its engine reads.
    """
    body: dict[str, Any] = {
        "messages": [
            {
                "content": None,  # a turn that only calls says so: not every engine takes a message without it
                **{k: v for k, v in msgspec.to_builtins(message).items() if v is not None and k != "weight"},
            }
            for message in sample.messages
        ],
        **asked_with(sample, task, repeat=repeat),
    }
    if sample.tools:
        body["tools"] = sample.tools
    if sample.response_format:
        body["response_format"] = sample.response_format
    if (
        endpoint is not None
        and not endpoint.engine_kind.reads_tool_names
        and isinstance(body.get("tool_choice"), dict)
    ):
        with suppress(ApiError):  # a choice the API itself would have refused is sent as it stands
            body |= one_tool(msgspec.json.encode(body))
    return asked(served, body)


def unread_notes(samples: Sequence[Sample], endpoint: Endpoint) -> list[str]:
    """What the recorded requests say that the endpoint's engine is known not to read."""
    unread = Counter(
        name for sample in samples for name in _said(sample) if name in endpoint.engine_kind.unread_fields
    )
    return [
        f"{endpoint.engine_kind.title} does not read {name}, which {count:,} of {len(samples):,} requests say."
        for name, count in sorted(unread.items())
    ]


def asking_notes(samples: Sequence[Sample], endpoint: Endpoint) -> list[str]:
    """What a reader must know about how both models were asked."""
    said = Counter(name for sample in samples for name in _said(sample))
    told = ", ".join(f"{name} ({count:,})" for name, count in sorted(said.items()))
    notes = (
        [f"Asked as {len(samples):,} requests were recorded: {told}; else as the task says."] if told else []
    )
    return notes + unread_notes(samples, endpoint)


def preparation_notes(samples: Sequence[Sample], served: ServedModel) -> list[str]:
    """What a reader must know about requests that were prepared for the candidate."""
    how = served.preparation
    if how is None:
        return []
    plain = msgspec.structs.replace(served, preparation=None)
    whys = Counter(unprepared(chat_request(sample, plain, None), how) for sample in samples)
    done = [
        *(["a system prompt of its own"] if how.system is not None else []),
        *([f"{how.examples.k} of {how.examples.samples:,} examples"] if how.examples is not None else []),
    ]
    prepared = whys.pop(None, 0)
    notes = [
        f"The candidate was asked with {', '.join(done)} in {prepared:,} of {len(samples):,} requests, as its plan "
        f"serves it (preparation {how.id[:12]})."
    ]
    return notes + [
        f"{count:,} requests went to the candidate as they were recorded: {UNPREPARED[why]}."
        for why, count in sorted(whys.items(), key=str)
        if why is not None
    ]


def _said(sample: Sample) -> dict[str, Any]:
    """The parameters its recorded request named. Those of tools go without tools: an API refuses them then."""
    said = sample.asking.said if sample.asking is not None else {}
    return said if sample.tools else {name: value for name, value in said.items() if name not in _OF_TOOLS}


def request_key(body: dict[str, Any], served: ServedModel, endpoint: Endpoint, repeat: int = 0) -> str:
    """Key of an answer in the cache: the request with all its parameters, and who is asked.

    An adapter that is trained again under its old name has another `adapter_id`, so it never meets old answers. The
    address counts only where it says who answers: a local engine's port changes at each start.
    """
    identity = {
        "body": body,
        "name": served.name,
        "adapter": served.adapter_id,
        "engine": endpoint.engine,
        "at": endpoint.base_url if endpoint.engine_kind.is_rented else endpoint.name,
    }
    return content_id({**identity, "repeat": repeat} if repeat else identity)
