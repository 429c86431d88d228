"""How long work tells where it is, without knowing who watches."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """What a workflow tells while it works. The command line draws it; tests and servers ignore it."""

    def step(self, name: str, *, note: str = "") -> None:
        """A named part of the work begins."""

    def update(self, done: float, total: float | None, *, unit: str = "", note: str = "") -> None:
        """`done` of `total` units of the current step are finished; `total` is None when unknown."""

    def say(self, text: str) -> None:
        """One line a person should read."""


class Silent:
    """A `Progress` that says nothing."""

    def step(self, name: str, *, note: str = "") -> None:
        return

    def update(self, done: float, total: float | None, *, unit: str = "", note: str = "") -> None:
        return

    def say(self, text: str) -> None:
        return
