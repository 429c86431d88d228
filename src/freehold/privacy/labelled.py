"""Values that only a word before them tells from others: dates of birth, numbers of passports, licences and
accounts, and telephone numbers written as a country writes them. Pure.

Covered: English, German, French, Spanish, Italian, Dutch, Portuguese, Polish.
Not covered: a value whose word stands behind it (but ``… geboren`` does), or more than `NEAR` characters before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from freehold.privacy.finds import Find

NEAR = 40
"""Characters before a value in which its word may stand."""
_LONGEST = 60
"""More characters than any value has."""
FOUND = "<"
"""Stands where something was found before."""
FEWEST_DIGITS = 2
"""That any value has."""
_LONG = 10_000
_SOME_DIGITS = re.compile(r"\d+")

_MONTHS = (
    "jan", "feb", "fév", "mar", "mär", "maa", "mrt", "apr", "abr", "avr", "kwi", "may", "mai", "mag", "maj",
    "mei", "jun", "jui", "giu", "cze", "jul", "lug", "lip", "aug", "aoû", "ago", "sie", "sep", "set", "wrz",
    "oct", "okt", "ott", "out", "paź", "nov", "lis", "dec", "dez", "déc", "dic", "gru", "ene", "gen", "sty",
    "lut",
)  # fmt: skip
_DATE = re.compile(
    r"(?<![\w./-])(?:\d{1,2}[./-] ?\d{1,2}[./-] ?(?:\d{4}|\d{2})|\d{4}-\d{2}-\d{2}"
    rf"|\d{{1,2}}(?:\.|st|nd|rd|th|er|º)? (?:de |of )?(?:{'|'.join(_MONTHS)})\w{{0,8}}\.?,? (?:de |of )?\d{{4}}"
    rf"|(?:{'|'.join(_MONTHS)})\w{{0,8}}\.? \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}})(?![\w/-])",
    re.IGNORECASE,
)
_BORN = re.compile(
    r"\b(?:born|birth|birthday|dob|d\.o\.b|geboren|geb\.|geburt\w*|née?|naissance|nac[ií]|nacimiento|nacid[oa]|nat[oa]"
    r"|nascita|nasc(?:i|id[oa]|imento)|geboorte\w*|urodz\w*)"
)
_BORN_AFTER = re.compile(r"(?: in \w+)? geboren", re.IGNORECASE)
_CODE = re.compile(
    r"(?<![\w@/-])(?:[A-Z]{0,5}\d|[A-Z]{1,6}[ -]\d)[A-Z0-9]*(?:[ /-][A-Z0-9]{1,6}){0,3}(?![\w@])"
)
_DOCUMENT = re.compile(
    r"passport|passeport|pasaporte|passaporto|paspoort|passaporte|paszport|reisepass|licen[cs]e|führerschein|permis\b"
    r"|permiso|patente|rijbewijs|condução|prawo jazdy|identity card|personalausweis|carte d.identité|carta d.identità"
    r"|identiteitskaart|cart[ãa]o de cidad[ãa]o|dowód osobisty|dowodu osobistego"
)
_ACCOUNT_NUMBER = re.compile(r"(?<![\w./-])\d{7,12}(?![\w/-]|[.,]\d)")
_ACCOUNT = re.compile(r"\baccount|konto|compte|\bcuenta|\bconto\b|rekening|\bconta\b|\bkonta\b")
_NATIONAL_PHONE = re.compile(r"(?<![\w+.,/-])\(?\d{2,4}\)?(?:[ .-]?\d{2,4}){2,4}(?!\w|[.,-]\d)")
CALLS = re.compile(
    r"phone|mobile|\b(?:tel|cell|fax|call|ring|text|whats ?app|sms|bel)\b|telefon|téléphone|teléfono|telefoon|móvil"
    r"|telemóvel|cellulare|handy|mobiel|portable|appele|joindre|\bll[aá]m|chiam|\blig(?:ue|ar)|dzwoni|komórk|rufen|erreich"
)
_DIGITS_OF_PHONE = (9, 11)


class _Label(NamedTuple):
    """A kind of value, the words that announce it, whether a text of its form can be one, and whether such texts are
    quicker to look for than the words."""

    kind: str
    value: re.Pattern[str]
    word: re.Pattern[str]
    holds: Callable[[str], bool]
    rare: bool


def says(word: re.Pattern[str], text: str, start: int, *, alone: bool = False) -> bool:
    """Whether a word (in lower case) stands shortly before a place, in the same line and sentence; with `alone` and
    neither a digit nor another find between them."""
    before = text[max(0, start - NEAR) : start].lower()
    last = max(before.rfind("\n"), before.rfind("? "), before.rfind("! "))
    if alone:
        last = max([last, *(at for at, char in enumerate(before) if char.isdigit() or char == FOUND)])
    return word.search(before, last + 1) is not None


def find(text: str) -> Iterator[Find]:
    """Finds of each kind in turn; those of two kinds may overlap."""
    lower = text.lower()  # much faster than a search that ignores case
    if len(lower) != len(text):
        lower = text
    windows = list(_around_digits(text))
    for kind, value, word, holds, rare in _LABELS:
        for first, last in windows:
            # In a long hostile text numbers are many: words are looked for first there.
            values = (
                value.finditer(text, first, last)
                if rare and last - first < _LONG
                else _near_words(value, word, text, word.finditer(lower, first, last))
            )
            for match in values:
                if holds(match[0]) and (
                    says(word, text, match.start(), alone=word is CALLS)
                    or (word is _BORN and _BORN_AFTER.match(text, match.end()))
                ):
                    yield Find(*match.span(), kind)


def _around_digits(text: str) -> Iterator[tuple[int, int]]:
    """The parts of a text that can hold a value with its word: no value is without digits, and most texts have few."""
    start, end = 0, -1
    for digits in _SOME_DIGITS.finditer(text):
        first = max(0, digits.start() - NEAR - _LONGEST)
        if first > end:
            if end >= 0:
                yield start, end
            start = first
        end = min(len(text), digits.end() + NEAR)
    if end >= 0:
        yield start, end


def _near_words(
    value: re.Pattern[str], word: re.Pattern[str], text: str, words: Iterator[re.Match[str]]
) -> Iterator[re.Match[str]]:
    """Values near words, each once."""
    done = 0
    for said in words:
        start, end = max(done, said.start() - NEAR), said.end() + NEAR
        if end <= done:
            continue
        for match in value.finditer(text, start, end + _LONGEST):
            if match.start() >= end:
                break
            yield match
            start = match.end()
        done = max(start, end)


def _is_code(text: str) -> bool:
    letters = [char for char in text if char.isalnum()]
    return len(letters) >= 7 and sum(char.isdigit() for char in letters) >= 2


def _is_phone(text: str) -> bool:
    low, high = _DIGITS_OF_PHONE
    return low <= sum(char.isdigit() for char in text) <= high


def _always(_text: str) -> bool:
    return True


_LABELS = (
    _Label("BIRTHDATE", _DATE, _BORN, _always, rare=False),
    _Label("DOCUMENT", _CODE, _DOCUMENT, _is_code, rare=False),
    _Label("ACCOUNT", _ACCOUNT_NUMBER, _ACCOUNT, _always, rare=True),
    _Label("PHONE", _NATIONAL_PHONE, CALLS, _is_phone, rare=True),
)
