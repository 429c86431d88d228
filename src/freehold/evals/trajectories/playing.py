"""One session played by a model: its own decisions, the recorded results of tools, the recorded user.

The user says what was recorded, whatever the model said before.
The model never waits for a tool: a call gets what the recording holds. A trajectory ends with the model's answer to the
last thing the user said, at a call whose result was never recorded, at the turn limit, or at a fault.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec

from freehold.evals.answers import ChatAnswer
from freehold.evals.scorer import Scorer
from freehold.evals.tool_calls import BrokenCall, read_calls
from freehold.evals.trajectories.recorded_tools import RecordedTools
from freehold.evals.trajectories.sessions import RecordedSession
from freehold.evals.turns.kinds import api_calls
from freehold.types.dataset import Message, Sample
from freehold.types.trajectory import Ended, TurnTaken

Ask = Callable[[Sample], Awaitable[ChatAnswer]]


class Played(NamedTuple):
    """What became of a session: all its messages, each turn, and why it ended."""

    messages: tuple[Message, ...]
    turns: tuple[TurnTaken, ...]
    ended: Ended
    error: str | None = None

    @property
    def parted_at(self) -> int | None:
        """The number of the first decision that is not as recorded."""
        return next((one.number for one in self.turns if one.as_recorded is False), None)


def turn_limit(session: RecordedSession) -> int:
    """Decisions a model may take: twice the recorded ones and two more."""
    return 2 * len(session.decisions) + 2


async def play(session: RecordedSession, ask: Ask, scorer: Scorer) -> Played:
    """Play a session to its end. `scorer` (a `turn`) says whether a decision is as recorded."""
    playing = _Playing(session, scorer)
    limit = turn_limit(session)
    times_said = 0
    for number in range(1, limit + 1):
        answer = await ask(playing.sample(number))
        if answer.fault is not None:
            playing.turns.append(
                TurnTaken(
                    number=number,
                    answer=answer.output,
                    as_recorded=playing.part(number) if answer.fault == "candidate" else None,
                    reason=answer.error,
                )
            )
            return playing.end(
                "infrastructure" if answer.fault == "infrastructure" else "fault", answer.error
            )
        said = answer.output or ""
        as_recorded, reason = await playing.compare(number, said)
        try:
            called = bool(api_calls(said))
        except BrokenCall as error:
            playing.turns.append(
                TurnTaken(number=number, answer=said, as_recorded=as_recorded, reason=reason)
            )
            return playing.end("broken_call", f"broken_call: {error}")
        results = playing.call(said) if called else ()
        playing.turns.append(
            TurnTaken(number=number, answer=said, as_recorded=as_recorded, reason=reason, results=results)
        )
        if "end" in results:
            return playing.end("recording_ended")
        if not called:
            playing.messages.append(Message(role="assistant", content=said))
            more = playing.user_says(times_said)
            times_said += 1
            if more is None:
                return playing.end("finished")
            playing.messages += more
    return playing.end("turn_limit", f"turn_limit: no end after {limit} decisions")


class _Playing:
    """A session under way."""

    def __init__(self, session: RecordedSession, scorer: Scorer) -> None:
        self._session = session
        self._scorer = scorer
        self._tools = RecordedTools(session.transcript, session.sample.tools)
        self._parted = False
        self.messages = list(session.opening)
        self.turns: list[TurnTaken] = []

    def sample(self, number: int) -> Sample:
        """What is asked next: the session so far, asked as the recorded decision of that number was."""
        asking = self._session.asking
        return msgspec.structs.replace(
            self._session.sample,
            messages=tuple(self.messages),
            asking=asking[min(number, len(asking)) - 1],
        )

    def end(self, ended: Ended, error: str | None = None) -> Played:
        """What has become of it."""
        return Played(tuple(self.messages), tuple(self.turns), ended, error)

    def part(self, number: int) -> bool | None:
        """From here on the two sessions differ: False at the first such decision, None later."""
        parted, self._parted = self._parted, True
        return None if parted or number > len(self._session.decisions) else False

    async def compare(self, number: int, said: str) -> tuple[bool | None, str | None]:
        """Whether a decision is the recorded one, and why not."""
        decisions = self._session.decisions
        if self._parted or number > len(decisions):
            return None, None
        score = await self._scorer.score(self._session.sample, said, decisions[number - 1].answer)
        if score.value == 1:
            return True, None
        return self.part(number), score.reason

    def call(self, said: str) -> tuple[str, ...]:
        """Take down an answer's calls and what they returned; where each result came from."""
        raw: list[dict[str, Any]] = msgspec.json.decode(said)
        for place, one in enumerate(raw):
            one.setdefault("id", f"call_{len(self.messages)}_{place}")
        self.messages.append(Message(role="assistant", content=None, tool_calls=raw))
        sources = []
        for one, call in zip(raw, read_calls(said), strict=True):
            result = self._tools.answer(call)
            near = f" {result.likeness:.2f}" if result.how == "nearest" else ""
            sources.append(f"{result.how}{near}")
            self.messages.append(Message(role="tool", content=result.content, tool_call_id=one["id"]))
        return tuple(sources)

    def user_says(self, times_said: int) -> tuple[Message, ...] | None:
        """What the user said at that point of the recording."""
        users = self._session.users
        return users[times_said] if times_said < len(users) else None
