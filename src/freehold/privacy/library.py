"""Personal data by a library: Presidio's recognizers (extra ``pii``), after the built-in patterns.

Covered: what `patterns` finds, and besides national, tax and health numbers of nine countries by their check
digits (`national`, and Presidio for the United States), phone numbers of many countries, wallets. Names and places
where a spaCy model with a named-entity recognizer is installed (``en_core_web_sm``, for example); Presidio itself
brings none.
Not covered: names without such a model; other languages than the model's; texts of more than `MOST_CHARACTERS`, in
which only the built-in patterns look: the library's time grows with the square of its finds, and megabytes of numbers
took minutes.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from typing import Any

from freehold.errors import MissingExtraError
from freehold.privacy import finds, patterns
from freehold.privacy.finds import Find, apart, blanked

LANGUAGE = "en"
THRESHOLD = 0.35
SURE = 0.4
PIECE_CHARACTERS = 4_000
MOST_CHARACTERS = 100_000
_GROUPED = re.compile(r"\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}")
"""As North America writes telephone numbers."""
_SHORTEST_LICENSE = 6
_JOINED_BEFORE = re.compile(r"(?:\w|\w[-_/.,#]|#)$")
_JOINED_AFTER = re.compile(r"\w|[-_/]\w|[.,]\d")
BLANK = "\x1f"
"""Stands where something was found before; no recognizer takes it for a letter or a digit."""
_SHOWN = {
    "CREDIT_CARD": "CARD",
    "EMAIL_ADDRESS": "EMAIL",
    "IBAN_CODE": "IBAN",
    "PHONE_NUMBER": "PHONE",
    "CRYPTO": "WALLET",
    "MAC_ADDRESS": "MAC",
    "MEDICAL_LICENSE": "LICENSE",
    "UK_NHS": "ID",
    "US_BANK_NUMBER": "ACCOUNT",
    "US_DRIVER_LICENSE": "LICENSE",
    "US_ITIN": "ID",
    "US_PASSPORT": "ID",
    "US_SSN": "ID",
}
_NAMED = {"PERSON": "PERSON", "LOCATION": "PLACE"}
_MAY_HOLD_A_NUMBER = re.compile(r"\d.*\d.*\d|[@:]", re.DOTALL)


class PresidioLibrary:
    """Loaded once, from the first thread that asks; then safe to use from several.

    With `use_model` a spaCy model that is installed finds names as well.
    """

    def __init__(self, *, use_model: bool = True) -> None:
        self._use_model = use_model
        self._lock = threading.Lock()
        self._engine: Any = None
        self.finds_names = False

    def load(self) -> None:
        """Raises `MissingExtraError`."""
        with self._lock:
            if self._engine is None:
                self._engine = self._made()

    def find_surely(self, text: str) -> list[Find]:
        """What is found with a word near that says so, or a check digit: six digits alone are an order's number
        as often as a phone's, and a dataset without its numbers teaches another task."""
        return self._find(text, sure=True)

    def find(self, text: str) -> list[Find]:
        """What is found, in order and apart from each other: the built-in patterns' finds first, then the library's."""
        return self._find(text, sure=False)

    def _find(self, text: str, *, sure: bool) -> list[Find]:
        self.load()
        found = patterns.find(text)
        rest = blanked(text, found, BLANK)  # nothing is found twice
        if _MAY_HOLD_A_NUMBER.search(rest):
            numbers = apart(finds.find_national(rest))
            found = sorted([*found, *numbers])
            rest = blanked(text, found, BLANK)
        if len(text) > MOST_CHARACTERS:
            return found
        if not self.finds_names and not _MAY_HOLD_A_NUMBER.search(rest):
            return found
        for start, piece in _pieces(rest):
            found += self._found_in(piece, start, sure=sure)
        return sorted(found)

    def _found_in(self, text: str, start: int, *, sure: bool) -> list[Find]:
        """The library's finds in a piece that begins at `start` of the whole."""
        shown = _SHOWN | _NAMED if self.finds_names else _SHOWN
        results = self._engine.analyze(
            text, language=LANGUAGE, entities=list(shown), score_threshold=THRESHOLD
        )
        found: list[Find] = []
        results = [
            one for one in results if one.entity_type != "PHONE_NUMBER" or _is_phone(text, one, sure=sure)
        ]
        if sure:
            results = [one for one in results if _is_sure(one)]
        end = len(text)
        # From the back; of finds that overlap the one that ends earlier is left out, of equals the less certain.
        for one in sorted(results, key=lambda one: (one.end, one.score), reverse=True):
            if (
                one.end <= end
                and BLANK not in text[one.start : one.end]
                and _stands_alone(text, one.start, one.end)
            ):
                found.append(Find(start + one.start, start + one.end, shown[one.entity_type]))
                end = one.start
        return found

    def _made(self) -> Any:
        try:
            import spacy
            from presidio_analyzer import AnalyzerEngine
            from presidio_analyzer.nlp_engine import SpacyNlpEngine

            if not finds.available():
                raise ImportError("stdnum")
        except ImportError:
            raise MissingExtraError("finding personal data by a library", "pii") from None
        log = logging.getLogger("presidio-analyzer")
        if log.level == logging.NOTSET:
            log.setLevel(logging.ERROR)  # it warns of every recognizer of another language
        installed = spacy.util.get_installed_models() if self._use_model else []
        names = sorted(name for name in installed if name.startswith(f"{LANGUAGE}_"))
        self.finds_names = bool(names)

        engine: Any = SpacyNlpEngine(
            models=[{"lang_code": LANGUAGE, "model_name": names[0] if names else "blank"}]
        )
        # A model that is installed, else only the tokenizer: left alone, Presidio would download one.
        engine.nlp = {LANGUAGE: spacy.load(names[0]) if names else _tokenizer(spacy)}
        return AnalyzerEngine(nlp_engine=engine, supported_languages=[LANGUAGE])


def _is_sure(result: Any) -> bool:
    """Whether there is more to a find than its digits."""
    if result.entity_type == "US_DRIVER_LICENSE" and result.end - result.start < _SHORTEST_LICENSE:
        return False  # some states number them from one
    return result.entity_type == "PHONE_NUMBER" or bool(result.score >= SURE)


def _is_phone(text: str, result: Any, *, sure: bool) -> bool:
    """Whether a phone number has a word before it that says so, or at least the form of one: six digits alone are an
    order's number as often."""
    if finds.says(finds.CALLS, text, result.start):
        return True
    return not sure and _GROUPED.fullmatch(text[result.start : result.end]) is not None


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether a find is not part of a longer word: in ``LL-482913`` the digits are an order's number, not a phone's."""
    return not (_JOINED_BEFORE.search(text, max(0, start - 2), start) or _JOINED_AFTER.match(text, end))


def _tokenizer(spacy: Any) -> Any:
    """English without a model. Presidio looks for words near a find by their lemmas: here, in lower case."""

    def lower(doc: Any) -> Any:
        for token in doc:
            token.lemma_ = token.lower_
        return doc

    spacy.Language.component("freehold_lower", func=lower)
    tokenizer = spacy.blank(LANGUAGE)
    tokenizer.add_pipe("freehold_lower")
    return tokenizer


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """A long text in pieces cut at white space, each with its place: the library compares its finds
    with each other."""
    start = 0
    while len(text) - start > PIECE_CHARACTERS:
        end = start + PIECE_CHARACTERS
        cut = max(text.rfind(" ", start + 1, end), text.rfind("\n", start + 1, end))
        end = cut if cut > 0 else end
        yield start, text[start:end]
        start = end
    yield start, text[start:]


LIBRARY = PresidioLibrary()
