"""`label`: the answer is one of a set of labels."""

from __future__ import annotations

import re
from typing import Any

from freehold.errors import ConfigError
from freehold.evals.scorer import (
    EMPTY,
    NO_REFERENCE,
    Options,
    Scorer,
    malformed,
    read_options,
    right,
    shortened,
    wrong,
)
from freehold.evals.text import normalized_label
from freehold.types.dataset import Sample
from freehold.types.evaluation import Score


class LabelOptions(Options, frozen=True, kw_only=True):
    """`labels` are the allowed ones (empty: any text is a label). `aliases` map other spellings to a label.

    `anywhere` accepts a longer answer when exactly one label occurs in it as whole words.
    `case_sensitive` turns normalising off: only outer space is then ignored.
    """

    labels: tuple[str, ...] = ()
    aliases: dict[str, str] = {}
    anywhere: bool = False
    case_sensitive: bool = False


class LabelScorer(Scorer):
    """1 when the answer names the reference's label. Normalised: case, quotes, ``_`` and ``-`` don't count.

    With `labels` given, an answer that is none of them is a format failure (``no_label``), a reference that
    is none of them leaves the answer unscored (``reference_not_a_label``).
    """

    name = "label"
    binary = True
    needs_reference = True

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = read_options(self.name, options, LabelOptions)
        self._known: dict[str, str] = {}
        for label in self.options.labels:
            self._enter(label, label)
        for alias, label in self.options.aliases.items():
            if self.options.labels and label not in self.options.labels:
                raise ConfigError(
                    f"scorer label: alias {alias} stands for {label}, which is not among the labels",
                    hint="add it to task.options.labels",
                )
            self._enter(label, label)
            self._enter(alias, label)
        words = sorted(self._known, key=len, reverse=True)
        self._search = (
            re.compile("|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in words)) if words else None
        )

    def label_of(self, text: str) -> str | None:
        """The label a text names: canonical where it is known, normalised where all are allowed, else None."""
        normal = self._normal(text)
        if not normal:
            return None
        if normal in self._known:
            return self._known[normal]
        if not self.options.labels and not self.options.anywhere:
            return normal
        if self.options.anywhere and self._search is not None:
            found = {self._known[match.group()] for match in self._search.finditer(normal)}
            if len(found) == 1:
                return found.pop()
        return None

    async def score(self, sample: Sample, answer: str, reference: str | None) -> Score:
        if reference is None:
            return NO_REFERENCE
        expected = self.label_of(reference)
        if expected is None:
            return Score(value=None, reason=f"reference_not_a_label: {shortened(reference)}")
        if not answer.strip():
            return EMPTY
        given = self.label_of(answer)
        if given is None:
            return malformed(f"no_label: {shortened(answer)}")
        return right() if given == expected else wrong(f"wrong_label: {shortened(given)}")

    def _normal(self, text: str) -> str:
        return text.strip() if self.options.case_sensitive else normalized_label(text)

    def _enter(self, spelling: str, label: str) -> None:
        normal = self._normal(spelling)
        if self._known.setdefault(normal, label) != label:
            raise ConfigError(
                f"scorer label: {spelling!r} and {self._known[normal]!r} are the same label when normalised",
                hint="set task.options.case_sensitive = true, or rename one of them",
            )
