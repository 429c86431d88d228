"""Templates learned from requests that come one by one, in bounded memory.

What no known template fits waits until there is enough to mine, or until the end. Where most of what waits has no
template (people's own words), every second is looked at from then on, then every fourth, and so on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from freehold.datasets.tasks.mining import Template, templates
from freehold.datasets.tasks.pieces import stand_in_order

AT_ONCE = 1000
"""Texts that are mined together."""
ANY = Template((), "")
"""Fits every text."""


class AskedPair(NamedTuple):
    """The instructions and the first user turn of a request."""

    system: str
    user: str


def fitting(known: list[Template], text: str) -> Template | None:
    """The most constant template that fits a text; `known` stands in that order."""
    return next((one for one in known if stand_in_order(one.pieces, text)), None)


class _Turns:
    """Templates of the first user turns behind one template of instructions."""

    def __init__(self) -> None:
        self.known: list[Template] = []
        self.waiting: list[str] = []
        self._met, self._every = 0, 1

    def learn(self, text: str) -> int:
        """Learn from a text; how many characters wait more than before."""
        if fitting(self.known, text) is not None:
            return 0
        self._met += 1
        if self._met % self._every:
            return 0
        self.waiting.append(text)
        return len(text) if len(self.waiting) < AT_ONCE else len(text) - self.mine()

    def mine(self) -> int:
        """Mine what waits; how many characters that was."""
        texts, self.waiting = self.waiting, []
        self.known = _joined(self.known, templates(texts, user_turns=True))
        left = sum(fitting(self.known, text) is None for text in texts)
        if left * 2 > len(texts):
            self._every *= 2
        return sum(map(len, texts))


class PromptBucket:
    """The templates of all requests of one shape: those of the instructions and, behind each, those of user turns."""

    def __init__(self, *, instructed: bool) -> None:
        self.seen = 0
        self.waiting_characters = 0
        self.systems: list[Template] = [] if instructed else [ANY]
        self._turns: dict[tuple[str, ...], _Turns] = {} if instructed else {(): _Turns()}
        self._waiting: list[AskedPair] = []
        self._met, self._every = 0, 1

    def learn(self, pair: AskedPair) -> None:
        """Learn from a request."""
        self.seen += 1
        if self._learned(pair):
            return
        self._met += 1
        if self._met % self._every:
            return
        self._waiting.append(pair)
        self.waiting_characters += len(pair.system) + len(pair.user)
        if len(self._waiting) >= AT_ONCE:
            self._mine()

    def _learned(self, pair: AskedPair) -> bool:
        system = fitting(self.systems, pair.system)
        if system is None:
            return False
        self.waiting_characters += self._turns[system.pieces].learn(pair.user)
        return True

    def _mine(self) -> None:
        pairs, self._waiting = self._waiting, []
        self.waiting_characters -= sum(len(pair.system) + len(pair.user) for pair in pairs)
        found = templates([pair.system for pair in pairs], user_turns=False)
        self.systems = _joined(self.systems, found)
        for one in found:
            self._turns.setdefault(one.pieces, _Turns())
        left = sum(not self._learned(pair) for pair in pairs)
        if left * 2 > len(pairs):
            self._every *= 2

    def mine(self) -> None:
        """Mine all that waits."""
        if self._waiting:
            self._mine()
        for turns in self._turns.values():
            if turns.waiting:
                self.waiting_characters -= turns.mine()

    def give_up(self) -> Iterator[AskedPair]:
        """What waits, for another bucket to learn from."""
        yield from self._waiting
        for turns in self._turns.values():
            yield from (AskedPair("", text) for text in turns.waiting)

    def turns(self, system: Template) -> list[Template]:
        """The templates of user turns behind one of `systems`, the most constant first."""
        return self._turns[system.pieces].known


def _joined(known: list[Template], found: list[Template]) -> list[Template]:
    """Both, the most constant first."""
    unique = {one.pieces: one for one in (*known, *found)}
    return sorted(unique.values(), key=lambda one: (-one.characters, one.pieces))
