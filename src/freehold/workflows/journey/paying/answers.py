"""What was asked, answered and paid, one line each in a file that only grows.

A request is written down, with the most it can cost, before it is sent, and its answer when it has come; both are on
the disk before anything else happens. So a kill at any moment neither pays an answer twice that was kept nor lets the
budget forget a request that was under way: that one counts at its most.
Not covered: two processes at once (the project's lock keeps them apart).
"""

from __future__ import annotations

import os
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import msgspec

from freehold.errors import StorageError
from freehold.evals.answers import ChatAnswer
from freehold.types.record import Record


class _Line(Record, frozen=True, kw_only=True, omit_defaults=True):
    """With an answer: what it cost. Without: a request about to be sent, and the most it can cost.

    `about` names the sample or trace, by which `freehold forget` finds the lines of a person.
    """

    key: str
    part: str
    usd: Decimal
    about: str = ""
    answer: ChatAnswer | None = None


class PartSpent(NamedTuple):
    """Of one part: tokens as the API counted them, dollars and requests (those that were lost included)."""

    prompt_tokens: int
    completion_tokens: int
    usd: Decimal
    requests: int


class PaidAnswers:
    """The file at `path`; a context manager. Raises `StorageError` where it cannot be read or written: nothing is sent
    then. One that is only for reading makes no file."""

    def __init__(self, path: Path, *, reading: bool = False) -> None:
        self._path = path
        self._reading = reading
        self._file: int | None = None
        self._answers: dict[str, ChatAnswer] = {}
        self._under_way: dict[str, _Line] = {}
        self._spent: dict[str, PartSpent] = defaultdict(lambda: PartSpent(0, 0, Decimal(0), 0))

    def __enter__(self) -> PaidAnswers:
        try:
            cut = self._read()
            if not self._reading:
                self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
                if cut:
                    os.write(self._file, b"\n")
        except OSError as error:
            raise self._fault(error) from None
        for line in self._under_way.values():  # of a run that was killed
            self._add(line.part, None, line.usd)
        self._under_way.clear()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    @property
    def spent_usd(self) -> Decimal:
        """Dollars so far, over all runs."""
        return sum((one.usd for one in self._spent.values()), Decimal(0))

    @property
    def committed_usd(self) -> Decimal:
        """Dollars so far, and the most that requests under way can cost."""
        return self.spent_usd + sum((one.usd for one in self._under_way.values()), Decimal(0))

    @property
    def requests(self) -> int:
        """Requests so far, over all runs, with those under way."""
        return sum(one.requests for one in self._spent.values()) + len(self._under_way)

    def of(self, part: str) -> PartSpent:
        """What a part took."""
        return self._spent[part]

    def get(self, key: str) -> ChatAnswer | None:
        """The answer kept under `key`."""
        return self._answers.get(key)

    def ask(self, key: str, part: str, most_usd: Decimal, *, about: str = "") -> None:
        """A request is about to be sent."""
        line = _Line(key=key, part=part, usd=most_usd, about=about)
        self._write(line)
        self._under_way[key] = line

    def answer(self, key: str, answer: ChatAnswer, usd: Decimal) -> None:
        """It came back, and cost `usd`. An answer that could be better when asked again is paid and not kept."""
        asked = self._under_way[key]
        self._write(msgspec.structs.replace(asked, usd=usd, answer=answer))
        del self._under_way[key]
        self._take(key, asked.part, answer, usd)

    def _take(self, key: str, part: str, answer: ChatAnswer, usd: Decimal) -> None:
        if answer.keepable:
            self._answers[key] = answer
        self._add(part, answer, usd)

    def _add(self, part: str, answer: ChatAnswer | None, usd: Decimal) -> None:
        usage, before = answer.usage if answer is not None else None, self._spent[part]
        self._spent[part] = PartSpent(
            before.prompt_tokens + ((usage.prompt_tokens or 0) if usage else 0),
            before.completion_tokens + ((usage.completion_tokens or 0) if usage else 0),
            before.usd + usd,
            before.requests + (answer.attempts if answer is not None else 1),
        )

    def _read(self) -> bool:
        """Take over what is there; whether its last line was cut short by a crash."""
        if not self._path.exists():
            return False
        data = self._path.read_bytes()
        for raw in data.splitlines():
            try:
                line = msgspec.json.decode(raw, type=_Line)
            except (msgspec.DecodeError, msgspec.ValidationError):
                continue  # the line that a crash cut short: its request still counts as under way
            if line.answer is None:
                if line.key in self._under_way:  # asked again by a run that was killed as well
                    self._add(line.part, None, self._under_way[line.key].usd)
                self._under_way[line.key] = line
            else:
                self._under_way.pop(line.key, None)
                self._take(line.key, line.part, line.answer, line.usd)
        return bool(data) and not data.endswith(b"\n")

    def _write(self, line: _Line) -> None:
        assert self._file is not None
        data = msgspec.json.encode(line) + b"\n"
        try:
            while data:
                data = data[os.write(self._file, data) :]
            os.fsync(self._file)
        except OSError as error:
            raise self._fault(error) from None

    def _fault(self, error: OSError) -> StorageError:
        return StorageError(
            f"{self._path}: what was asked cannot be written down: {error.strerror}",
            hint="free some space, then run the same command again: what was answered is not asked again",
        )
