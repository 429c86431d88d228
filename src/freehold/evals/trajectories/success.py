"""When a trajectory has succeeded: by its last calls, by what it changed, or by a function of the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from freehold.errors import ConfigError
from freehold.evals.matching import Fault, first_unmatched
from freehold.evals.scorer import right, wrong
from freehold.evals.scorers.code import CodeScorer
from freehold.evals.tool_calls import BrokenCall, Call, declared_parameters, plain_name, read_calls
from freehold.evals.trajectories.sessions import RecordedSession, answer_text
from freehold.evals.turns.arguments import difference
from freehold.types.dataset import Message
from freehold.types.evaluation import Score

KNOWN = "final_calls, state:TOOL,TOOL or a function of your own (path/to/file.py:function)"


class Success(Protocol):
    """Says of a played session whether it came out right."""

    @property
    def name(self) -> str:
        """As a user names it."""
        ...

    @property
    def by_recording(self) -> bool:
        """Whether the recorded session is right by construction."""
        ...

    @property
    def sandbox(self) -> str | None:
        """What holds the user's own function, as records say it; None where none is run."""
        ...

    async def check(self, session: RecordedSession, messages: Sequence[Message]) -> Score:
        """`messages` are the whole session as it was played, the opening included."""
        ...

    async def close(self) -> None:
        """Release what checking holds open."""
        ...


def success_of(text: str) -> Success:
    """The check a user names. Raises `ConfigError` for one that is unknown or says too little."""
    name, _, rest = text.partition(":")
    if text == "final_calls":
        return FinalCalls()
    if name == "state":
        tools = tuple(one.strip() for one in rest.split(",") if one.strip())
        if not tools:
            raise ConfigError(
                "success by state needs the tools that change something", hint="state:refund,escalate"
            )
        return SameState(tools)
    if rest:
        return ByFunction(text)
    raise ConfigError(f"unknown success {text}", hint=f"expected {KNOWN}")


class FinalCalls:
    """The last calls are the recorded last calls; none where none is recorded."""

    name = "final_calls"
    by_recording = True
    sandbox = None

    async def check(self, session: RecordedSession, messages: Sequence[Message]) -> Score:
        made, wanted = (
            _last(messages[len(session.opening) :]),
            _last([one.message for one in session.decisions]),
        )
        return _compared(made, wanted, session, "last calls")

    async def close(self) -> None:
        return


class SameState:
    """The same changes were made: the calls of `tools` are the recorded ones, in any order, none more and none less."""

    by_recording = True
    sandbox = None

    def __init__(self, tools: Sequence[str]) -> None:
        self._tools = {plain_name(one) for one in tools}
        self.name = f"state:{','.join(tools)}"

    async def check(self, session: RecordedSession, messages: Sequence[Message]) -> Score:
        made = self._changes(messages[len(session.opening) :])
        return _compared(made, self._changes([one.message for one in session.decisions]), session, "changes")

    def _changes(self, messages: Sequence[Message]) -> list[Call]:
        return [one for message in messages for one in _calls(message) if plain_name(one.name) in self._tools]

    async def close(self) -> None:
        return


class ByFunction:
    """A function of the user's, ``function(answer, reference, sample)`` as for the scorer `code`: the last answer, the
    recorded last answer, and the session with all its messages. The recorded session is put to it as well."""

    by_recording = False

    def __init__(self, place: str) -> None:
        self.name = place
        options = {"callable": place}
        self._scorer = CodeScorer(options)
        self.sandbox = CodeScorer.own_sandbox(options)

    async def check(self, session: RecordedSession, messages: Sequence[Message]) -> Score:
        played = msgspec.structs.replace(session.sample, messages=tuple(messages))
        last = next((answer_text(one) for one in reversed(messages) if one.role == "assistant"), "")
        return await self._scorer.score(played, last, session.final_answer)

    async def close(self) -> None:
        await self._scorer.close()


def _compared(made: list[Call], wanted: list[Call], session: RecordedSession, what: str) -> Score:
    if len(made) != len(wanted):
        return wrong(f"wrong_count: {len(made)} {what}, recorded {len(wanted)}")
    schemas = declared_parameters(session.sample.tools)
    fault = first_unmatched(
        [[_fault(one, other, schemas.get(plain_name(other.name), {})) for one in made] for other in wanted]
    )
    return right() if fault is None else wrong(f"{fault.code}: {fault.detail}")


def _fault(made: Call, wanted: Call, schema: dict[str, Any]) -> Fault | None:
    if plain_name(made.name) != plain_name(wanted.name):
        return Fault("wrong_function", f"{made.name}, recorded {wanted.name}", False)
    return difference(made.arguments, wanted.arguments, schema)


def _last(messages: Sequence[Message]) -> list[Call]:
    return next((calls for one in reversed(messages) if (calls := _calls(one))), [])


def _calls(message: Message) -> list[Call]:
    if not message.tool_calls:
        return []
    try:
        return read_calls(answer_text(message))
    except BrokenCall:
        return []
