"""Which language a text is in: by its script, and for Latin letters by the commonest short words.

Made for whole prompts; short texts and mixtures give None rather than a guess. Codes are ISO 639-1.
"""

from __future__ import annotations

import re
from collections import Counter

LEAST_LETTERS = 20
LEAST_WORDS = 4
"""Common words that must be found before Latin text gets a language."""

_SCRIPTS: tuple[tuple[str, str], ...] = (
    ("ja", "\u3040-\u30ff"), ("ko", "\uac00-\ud7af\u1100-\u11ff"), ("zh", "\u4e00-\u9fff"),
    ("ru", "\u0400-\u04ff"), ("ar", "\u0600-\u06ff"), ("he", "\u0590-\u05ff"), ("el", "\u0370-\u03ff"),
    ("th", "\u0e00-\u0e7f"), ("hi", "\u0900-\u097f"),
)  # fmt: skip
_WORDS: dict[str, frozenset[str]] = {
    code: frozenset(words.split())
    for code, words in {
        "en": "the of and to is in that it for was with as on are this be have not you my from or what how",
        "de": "der die und das ist nicht ein eine zu mit den von auf für sich dem es im auch ich wie bei wird",
        "fr": "le les des est et une du pour que dans pas qui sur plus avec ce vous je il sont au mais comment",
        "es": "el los las una del por con para que es no se su lo como más pero mi está yo cómo hay muy",
        "it": "il gli che di è per una non con del sono della mi si come più ma questo alla nel lo ho anche",
        "pt": "o os uma do da não para com que é em por mais como mas se eu ao dos está você meu são muito",
        "nl": "de het een van en niet dat op te is voor met zijn die ik aan er maar bij ook hoe wat mijn",
        "pl": "w na i nie że się do jest to z jak ale co po tak dla od czy już przez mam jestem mój proszę",
        "sv": "och att det som är en på för med av inte den till jag har om ett men hur kan var min från",
        "tr": "ve bir bu da için ile ne çok daha var değil ben gibi olarak mi nasıl ama en benim kadar",
    }.items()
}
_TOKEN = re.compile(r"[^\W\d_]+")


def language_of(text: str) -> str | None:
    """The language of a text, None when it is too short or not clear."""
    letters = sum(map(str.isalpha, text))
    if letters < LEAST_LETTERS:
        return None
    for code, span in _SCRIPTS:
        share = len(re.findall(f"[{span}]", text)) / letters
        # Japanese mixes its own letters with Chinese ones; a few percent of them are sign enough.
        if share > (0.05 if code == "ja" else 0.3):
            return code
    counts = Counter(_TOKEN.findall(text.lower()))
    hits = {code: sum(counts[word] for word in words) for code, words in _WORDS.items()}
    best, second = sorted(hits.values(), reverse=True)[:2]
    if best < LEAST_WORDS or best < 1.3 * second:
        return None
    return max(hits, key=lambda code: hits[code])
