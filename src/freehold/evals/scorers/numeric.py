"""`numeric`: the number in the answer is the reference's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from statistics import mean
from typing import Any, Literal

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
from freehold.types.dataset import Sample
from freehold.types.evaluation import EvalResult, Score


class NumericOptions(Options, frozen=True, kw_only=True):
    """`take`: the ``last`` number, the ``first``, or the ``only`` thing there (nothing but a number and a unit).

    `after` looks only behind the last place where that text stands (``####``, ``A:``); without it there is no
    number. `absolute` and `relative` tolerances (relative to the reference); the wider one counts.
    `scale`: the lowest and the highest grade. An answer within the tolerance then scores 1, another 1 less its distance
    as a share of the scale, 0 at the worst; `exact` is reported beside it.
    `units` maps unit to factor (``{"km": 1000, "m": 1}``): a number with a known unit behind it is multiplied,
    a number without one is in the base unit. `fractions` reads ``3/4``. `decimal_comma` reads ``1.234,5``.
    """

    take: Literal["last", "first", "only"] = "last"
    after: str | None = None
    absolute: float = 0.0
    relative: float = 0.0
    scale: tuple[float, float] | None = None
    units: dict[str, float] = {}
    fractions: bool = False
    decimal_comma: bool = False


_PLAIN = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,]*\d)|\d+(?:\.\d+)?|\.\d+"
_COMMA = r"\d{1,3}(?:\.\d{3})+(?:,\d+)?(?![\d.]*\d)|\d+(?:,\d+)?|,\d+"
_DECORATION = " \t\r\n*_`\"'$€£¥≈=~:().,;!"


class NumericScorer(Scorer):
    """1 when the number meets the reference within the tolerance. No number at all is a format failure."""

    name = "numeric"
    needs_reference = True

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = read_options(self.name, options, NumericOptions)
        for field in ("absolute", "relative"):
            if not 0 <= getattr(self.options, field) < float("inf"):
                raise ConfigError(
                    f"scorer numeric: {field} is {getattr(self.options, field)}, expected 0 or more"
                )
        scale = self.options.scale
        if scale is not None and not 0 < scale[1] - scale[0] < float("inf"):
            raise ConfigError(
                f"scorer numeric: scale is {scale[0]:g} to {scale[1]:g}, expected the lowest and the highest grade"
            )
        self.binary = scale is None
        digits = _COMMA if self.options.decimal_comma else _PLAIN
        fraction = r"(?:\s*/\s*(?P<below>\d+))?" if self.options.fractions else ""
        units = "|".join(sorted(map(re.escape, self.options.units), key=len, reverse=True))
        unit = rf"(?:\s*(?P<unit>{units})(?!\w))?" if units else ""
        self._number = re.compile(
            rf"(?P<sign>(?<![\w.)])[-+\u2212])?\s*[$€£¥]?(?<![\w.])(?P<digits>{digits})"
            rf"(?P<power>[eE][-+]?\d{{1,3}})?{fraction}{unit}"
        )

    def number_in(self, text: str) -> Decimal | None:
        """The number an answer gives, None when it gives none."""
        if self.options.after is not None:
            _, marker, text = text.rpartition(self.options.after)
            if not marker:
                return None
        if self.options.take == "only":
            match = self._number.fullmatch(text.strip(_DECORATION + "%")) or self._number.fullmatch(
                text.strip()
            )
            return None if match is None else self._value(match)
        found = list(self._number.finditer(text))
        return self._value(found[0 if self.options.take == "first" else -1]) if found else None

    async def score(self, sample: Sample, answer: str, reference: str | None) -> Score:
        if reference is None:
            return NO_REFERENCE
        expected = self.number_in(reference)
        if expected is None:
            return Score(value=None, reason=f"reference_not_a_number: {shortened(reference)}")
        if not answer.strip():
            return EMPTY
        given = self.number_in(answer)
        if given is None:
            return malformed(f"no_number: {shortened(answer[-60:])}")
        allowed = max(
            Decimal(str(self.options.absolute)), Decimal(str(self.options.relative)) * abs(expected)
        )
        off = abs(given - expected)
        if self.options.scale is None:
            return right() if off <= allowed else wrong(f"wrong_number: {given}")
        if off <= allowed:
            return right(exact=1.0)
        low, high = self.options.scale
        return Score(
            value=max(0.0, 1.0 - float(off) / (high - low)), reason=f"off_by: {off:g}", parts={"exact": 0.0}
        )

    @classmethod
    def own_notes(
        cls, options: dict[str, Any], incumbent: Sequence[EvalResult], candidate: Sequence[EvalResult]
    ) -> list[str]:
        if read_options(cls.name, options, NumericOptions).scale is None:
            return []
        exact = [
            mean(one.score.parts.get("exact", 0.0) for one in results if one.score.value is not None)
            for results in (incumbent, candidate)
            if any(one.score.value is not None for one in results)
        ]
        shown = ", ".join(f"{share:.1%}" for share in exact)
        return [f"Grades are scored by distance; exactly right (incumbent, candidate): {shown}."]

    def _value(self, match: re.Match[str]) -> Decimal | None:
        digits = match["digits"]
        digits = (
            digits.replace(".", "").replace(",", ".")
            if self.options.decimal_comma
            else digits.replace(",", "")
        )
        try:
            value = Decimal(digits + (match["power"] or ""))
            if self.options.fractions and match["below"]:
                value /= Decimal(match["below"])
        except (InvalidOperation, ZeroDivisionError):
            return None
        if self.options.units and match["unit"]:
            value *= Decimal(str(self.options.units[match["unit"]]))
        return -value if match["sign"] in ("-", "\u2212") else value
