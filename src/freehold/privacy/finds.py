"""What was found where in a text, and what words before a value or check digits tell of it. Pure.

Covered: English, German, French, Spanish, Italian, Dutch, Portuguese, Polish.
Not covered: a value whose word stands behind it (but ``… geboren`` does), or more than `NEAR` characters before it.

Covered: Germany (IdNr), France (NIR), Spain (DNI, NIE), Italy (codice fiscale), the Netherlands (BSN), Portugal (NIF),
Poland (PESEL, NIP), the United Kingdom (NHS, NINO). Numbers of digits alone count only after a word that says what they
are: one in ten or eleven orders' numbers has a right check digit as well.
Not covered: other countries, the United States' (Presidio knows them); numbers whose word stands behind them.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple


class Find(NamedTuple):
    """Characters `start` to `end` of a text are of a `kind` (``EMAIL``, ``PERSON``, ``SECRET`` …)."""

    start: int
    end: int
    kind: str


Finder = Callable[[str], list[Find]]


def apart(finds: Iterable[Find]) -> list[Find]:
    """The finds in order without overlaps: of two that overlap the longer one stays, of equals the first."""
    kept: list[Find] = []
    for one in sorted(finds, key=lambda find: (find.start, find.start - find.end)):
        if not kept or kept[-1].end <= one.start:
            kept.append(one)
        elif one.end - one.start > kept[-1].end - kept[-1].start:
            kept[-1] = one
    return kept


def replaced(text: str, finds: Iterable[Find], shown: Callable[[Find, str], str]) -> str:
    """The text with each find (in order, apart from each other) replaced by what `shown` makes of it."""
    pieces: list[str] = []
    done = 0
    for find in finds:
        pieces += [text[done : find.start], shown(find, text[find.start : find.end])]
        done = find.end
    return "".join([*pieces, text[done:]])


def blanked(text: str, finds: Iterable[Find], blank: str) -> str:
    """The text with each find (in order, apart from each other) filled with one character: places stay right."""
    return replaced(text, finds, lambda find, _: blank * (find.end - find.start))


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


def find_labelled(text: str) -> Iterator[Find]:
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


def find_national(text: str) -> Iterator[Find]:
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
