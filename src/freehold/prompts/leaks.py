"""Whether a proposed prompt carries what the samples say or are to be answered: it would be measured on what it holds,
and send one customer's words along with every other's.

A run of `RUN_WORDS` words of a sample's text is a leak, and so is a whole short text; so is an answer that only a few
samples have, where it is long (`ANSWER_WORDS`) or holds a digit, such as an order's number. Explained, and no leak, is
what the application's own prompt says, what the form of the answers names (labels, keys), and what many samples share.
Case, accents' spelling, white space, punctuation and characters without width don't count.

Not covered: a text told in other words; a single common word that is one sample's answer.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from freehold.types.dataset import Sample, SplitName

RUN_WORDS = 8
SHORT_TEXT_WORDS = 5
"""A text that is shorter than a run counts as a whole from this many words on."""
ANSWER_WORDS = 4
_SHORTEST_NUMBER = 4
"""Characters of an answer with a digit; shorter ones are in any text."""
_SHARED = 3
"""What this many samples share is how people write, or a closed set, not what one of them said."""
# A word, or one letter of a script that is written without spaces.
_WORDS = re.compile(r"[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W_]+")
_WIDTHLESS = re.compile(r"[\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]")

_Run = tuple[str, ...]


class LeakCheck:
    """Knows the samples of all splits; `found_in` says what of them a text carries."""

    def __init__(
        self, splits: Iterable[tuple[SplitName, Sequence[Sample]]], explained: Iterable[str]
    ) -> None:
        runs: dict[_Run, SplitName] = {}
        answers: dict[_Run, SplitName] = {}
        shared_runs: Counter[_Run] = Counter()
        shared_answers: Counter[_Run] = Counter()
        for split, samples in splits:
            for sample in samples:
                own = {run for text in _texts(sample) for run in _runs_of_text(words(text))}
                said = {tuple(words(text)) for text in _answers(sample)}
                shared_runs.update(own)
                shared_answers.update(said)
                runs |= dict.fromkeys(own, split)
                answers |= dict.fromkeys((one for one in said if _tells(one)), split)
        known = [words(text) for text in explained]
        in_known = {run for one in known for run in _every_run(one, {len(run) for run in runs} | {RUN_WORDS})}
        in_known_answers = {run for one in known for run in _every_run(one, {len(run) for run in answers})}
        self._runs = {
            run: split for run, split in runs.items() if shared_runs[run] < _SHARED and run not in in_known
        }
        self._answers = {
            run: split
            for run, split in answers.items()
            if shared_answers[run] < _SHARED and run not in in_known_answers
        }
        self._run_lengths = {len(run) for run in self._runs}
        self._answer_lengths = {len(run) for run in self._answers}

    def found_in(self, text: str) -> str | None:
        """What `text` carries of the samples, without repeating it; None where it carries nothing."""
        said = words(text)
        for run in _every_run(said, self._run_lengths):
            if run in self._runs:
                return f"{len(run)} words in a row are those of a {_named(self._runs[run])} sample"
        for run in _every_run(said, self._answer_lengths):
            if run in self._answers:
                return f"it holds the answer of a {_named(self._answers[run])} sample"
        return None


def words(text: str) -> list[str]:
    """The words of a text as they are compared."""
    folded = unicodedata.normalize("NFKC", _WIDTHLESS.sub("", text)).casefold()
    return _WORDS.findall(folded)


def _named(split: SplitName) -> str:
    return {"train": "training", "validation": "validation", "held_out": "held-out"}[split]


def _texts(sample: Sample) -> Iterator[str]:
    """What users and tools said; the system prompt is the application's."""
    for message in sample.messages:
        if message.role == "system":
            continue
        if isinstance(message.content, str):
            yield message.content
        elif isinstance(message.content, list):
            yield from (
                part["text"]
                for part in message.content
                if isinstance(part, dict) and isinstance(part.get("text"), str)
            )
    yield from _answers(sample)


def _answers(sample: Sample) -> Iterator[str]:
    """What is right, and what the incumbent said; of JSON the values, since its keys are the task's form."""
    for text in filter(None, (sample.gold, sample.incumbent)):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            yield text
        else:
            yield from _leaves(value)


def _leaves(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str) or (isinstance(one, int | float) and not isinstance(one, bool)):
            yield str(one)


def _tells(answer: _Run) -> bool:
    """Whether an answer is one that no other text would hold by chance."""
    if len(answer) >= ANSWER_WORDS:
        return True
    return any(any(map(str.isdigit, word)) for word in answer) and sum(map(len, answer)) >= _SHORTEST_NUMBER


def _runs_of_text(said: Sequence[str]) -> Iterator[_Run]:
    if len(said) >= RUN_WORDS:
        yield from _every_run(said, {RUN_WORDS})
    elif len(said) >= SHORT_TEXT_WORDS:
        yield tuple(said)


def _every_run(said: Sequence[str], lengths: Iterable[int]) -> Iterator[_Run]:
    for length in sorted(lengths, reverse=True):
        for start in range(len(said) - length + 1):
            yield tuple(said[start : start + length])
