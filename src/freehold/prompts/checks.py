"""A proposer's reply taken apart, and refused where it holds no prompt that may be used."""

from __future__ import annotations

import re
from collections.abc import Callable

from freehold.prompts.leaks import LeakCheck
from freehold.prompts.replies import split
from freehold.types.prompting import PromptProposal, RefusalCode
from freehold.visible import visible

_FEWEST_WORDS = 3
_LONGEST_WORDS_KEPT = 2000
"""Characters of what a proposer said besides the prompt."""


class Checks:
    """What every reply is held against. `fits` says why a prompt is too long for the context, None where it is not.

    Counts replies, so that each has its number; a prompt that was proposed before is not tried again.
    """

    def __init__(self, system: str | None, leaks: LeakCheck, fits: Callable[[str], str | None]) -> None:
        self._leaks, self._fits = leaks, fits
        self._proposed = {_plain(system or "")}
        self.proposals: list[PromptProposal] = []

    def take(self, reply: str, current: str) -> PromptProposal:
        """The proposal in a reply to "make `current` better"; refused, with the reason, where it must not be used."""
        text, said = split(reply)
        refused = self._refused(text, current)
        code, why = refused or (None, None)
        made = PromptProposal(
            number=len(self.proposals) + 1,
            refused=code,
            why_refused=why,
            text=None if refused else text,
            words="" if code == "leak" else said[:_LONGEST_WORDS_KEPT],
        )
        if text is not None and not refused:
            self._proposed.add(_plain(text))
        self.proposals.append(made)
        return made

    def _refused(self, text: str | None, current: str) -> tuple[RefusalCode, str] | None:
        if text is None:
            return "no_block", "no prompt between ``` and ``` is in the reply"
        if not text.strip():
            return "empty", "the proposed prompt is empty"
        if visible(text) != text:
            return "not_text", "it holds characters that steer a terminal or are not shown"
        if len(re.findall(r"[^\W\d_]{2,}", text)) < _FEWEST_WORDS and not re.search(
            r"[\u0e00-\uffdc]{6}", text
        ):
            return "not_text", f"it has fewer than {_FEWEST_WORDS} words"
        if _plain(text) == _plain(current):
            return "unchanged", "it is the prompt that was to be made better"
        if _plain(text) in self._proposed:
            return "repeated", "it was proposed before"
        if (too_long := self._fits(text)) is not None:
            return "too_long", too_long
        if (leak := self._leaks.found_in(text)) is not None:
            return "leak", leak
        return None


def _plain(text: str) -> str:
    return " ".join(text.split())
