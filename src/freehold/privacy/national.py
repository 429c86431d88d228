"""National, tax and health numbers of eight countries by their check digits (python-stdnum, extra ``pii``).

Covered: Germany (IdNr), France (NIR), Spain (DNI, NIE), Italy (codice fiscale), the Netherlands (BSN), Portugal (NIF),
Poland (PESEL, NIP), the United Kingdom (NHS, NINO). Numbers of digits alone count only after a word that says what they
are: one in ten or eleven orders' numbers has a right check digit as well.
Not covered: other countries, the United States' (Presidio knows them); numbers whose word stands behind them.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from freehold.privacy.finds import Find
from freehold.privacy.labelled import says

_DIGITS = re.compile(r"(?<![\w.,/-])\d(?:[ .-]?\d){8,14}(?!\w|[.,/-]\d)")
_LETTERED = re.compile(
    r"(?<![\w-])(?:\d{2}[.]?\d{3}[.]?\d{3}-?[A-Z]|[XYZ]-?\d{7}-?[A-Z]"  # DNI, NIE
    r"|[A-Z]{6}\d\d[A-EHLMPR-T]\d\d[A-Z]\d{3}[A-Z]|[A-CEGHJ-PR-TW-Z][A-Z] ?\d\d ?\d\d ?\d\d ?[A-D])(?!\w)"  # CF, NINO
)


class _Number(NamedTuple):
    """A number of digits, how many it has, and the words that announce it."""

    module: str
    digits: int
    word: re.Pattern[str]


def _words(text: str) -> re.Pattern[str]:
    return re.compile(text)


_NUMBERS = (
    _Number("de.idnr", 11, _words(r"steuer|idnr|\btin\b|tax")),
    _Number(
        "fr.nir", 15, _words("")
    ),  # 97 to one that it is none, and its first digits are a sex, a year, a month
    _Number("nl.bsn", 9, _words(r"\bbsn\b|burgerservice|sofi")),
    _Number("pt.nif", 9, _words(r"\bnif\b|contribuinte|fiscal")),
    _Number("pl.pesel", 11, _words(r"pesel")),
    _Number("pl.nip", 10, _words(r"\bnip\b|podatk")),
    _Number("gb.nhs", 10, _words(r"\bnhs\b|health")),
)
_LETTERED_MODULES = ("es.dni", "es.nie", "it.codicefiscale")
_NINO = re.compile(r"[A-Z]{2} ?\d\d ?\d\d ?\d\d ?[A-D]")


def available() -> bool:
    """Whether python-stdnum is installed."""
    return importlib.util.find_spec("stdnum") is not None


def find(text: str) -> Iterator[Find]:
    """National numbers in a text, in order. Raises `ImportError` without python-stdnum."""
    for match in _DIGITS.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        for module, count, word in _NUMBERS:
            if len(digits) == count and says(word, text, match.start()) and _is_valid(module)(digits):
                yield Find(*match.span(), "ID")
                break
    for match in _LETTERED.finditer(text):
        plain = re.sub(r"[ .-]", "", match[0])
        if _NINO.fullmatch(match[0]) or any(_is_valid(module)(plain) for module in _LETTERED_MODULES):
            yield Find(*match.span(), "ID")


@functools.cache
def _is_valid(module: str) -> Callable[[str], bool]:
    checked: Any = importlib.import_module(f"stdnum.{module}")
    return lambda number: bool(checked.is_valid(number))
