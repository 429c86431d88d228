"""Redaction by a library: Presidio's recognizers (extra ``pii``), after our own patterns.

Covered: what `redaction` finds, and besides phone numbers of many countries, social security, tax and passport
numbers, NHS numbers, bank and driver's licence numbers near a word that says so, wallets, MAC addresses. Names and
places where a spaCy model with a named-entity recognizer is installed (``en_core_web_sm``, for example); Presidio
itself brings none.
Not covered: names without such a model; other languages than the model's.
"""

from __future__ import annotations

import re
import threading
from typing import Any

from freehold.errors import MissingExtraError
from freehold.gateway.redaction import redact_text

LANGUAGE = "en"
THRESHOLD = 0.35
_SHOWN = {
    "CREDIT_CARD": "CARD",
    "EMAIL_ADDRESS": "EMAIL",
    "IBAN_CODE": "IBAN",
    "IP_ADDRESS": "IP",
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


class Library:
    """Loaded once, from the first thread that asks; then safe to use from several."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engine: Any = None
        self.finds_names = False

    def load(self) -> None:
        """Raises `MissingExtraError`."""
        with self._lock:
            if self._engine is None:
                self._engine = self._made()

    def redact_text(self, text: str) -> str:
        """The text with each find replaced by its kind."""
        self.load()
        text = redact_text(text)
        if not self.finds_names and not _MAY_HOLD_A_NUMBER.search(text):
            return text
        shown = _SHOWN | _NAMED if self.finds_names else _SHOWN
        found = self._engine.analyze(text, language=LANGUAGE, entities=list(shown), score_threshold=THRESHOLD)
        end = len(text)
        # From the back, so that places stay right; of finds that overlap the later one that starts first is left out.
        for one in sorted(found, key=lambda one: (one.end, one.score), reverse=True):
            if one.end <= end:
                text = f"{text[: one.start]}<{shown[one.entity_type]}>{text[one.end :]}"
                end = one.start
        return text

    def redact(self, value: Any) -> Any:
        """A JSON value with every string in it redacted; keys stay."""
        if isinstance(value, str):
            return self.redact_text(value) if len(value) > 3 else value
        if isinstance(value, dict):
            return {key: self.redact(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.redact(inner) for inner in value]
        return value

    def _made(self) -> Any:
        try:
            import spacy
            from presidio_analyzer import AnalyzerEngine
            from presidio_analyzer.nlp_engine import SpacyNlpEngine
        except ImportError:
            raise MissingExtraError("redaction by a library", "pii") from None
        names = sorted(name for name in spacy.util.get_installed_models() if name.startswith(f"{LANGUAGE}_"))
        self.finds_names = bool(names)

        engine: Any = SpacyNlpEngine(
            models=[{"lang_code": LANGUAGE, "model_name": names[0] if names else "blank"}]
        )
        # A model that is installed, else only the tokenizer: left alone, Presidio would download one.
        engine.nlp = {LANGUAGE: spacy.load(names[0]) if names else spacy.blank(LANGUAGE)}
        return AnalyzerEngine(nlp_engine=engine, supported_languages=[LANGUAGE])


LIBRARY = Library()
