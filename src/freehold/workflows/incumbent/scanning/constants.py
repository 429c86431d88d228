"""Constants of SDKs that stand for a model's id: `ChatModel.GPT_4O_MINI`, `openai.ChatModelGPT4oMini`.

SDKs spell such a constant as the id without its signs: openai-java and anthropic-java in capitals, openai-go,
anthropic-sdk-go and sashabaranov/go-openai (which writes ``Dot``) in camel case. So a member of a type or package for
models is compared with the known names letter by letter; one that is like none of them is left out.
"""

from __future__ import annotations

import re
from functools import cache

from freehold.catalog import retirements

LONGEST = 160
"""An expression longer than this is a chain of calls, whose parts are looked at by themselves."""
PATTERN = r"(?:\w+\.){1,6}[A-Z]\w*"
_MEMBER = re.compile(r"(?:\w+\s*\.\s*){0,5}(\w+)\s*\.\s*([A-Z]\w*)")
_TYPE = re.compile(r"(?:\w*(?:Model|Models|ModelName|ModelId)|openai|anthropic)", re.IGNORECASE)
_PREFIX = re.compile(r"(?:Chat|Embedding|Image|Audio|Speech)?Model(?=[A-Z_])")


def model_of(expression: str) -> str | None:
    """The id that a qualified name stands for (`openai.GPT3Dot5Turbo` → ``gpt-3.5-turbo``), or None."""
    found = _MEMBER.fullmatch(expression)
    if found is None:
        return None
    owner, member = found.groups()
    bare = _PREFIX.sub("", member, count=1)
    if bare == member and _TYPE.fullmatch(owner) is None:
        return None
    letters = _letters(re.sub(r"(?<=\d)Dot(?=\d)", "", bare))
    if len(letters) < 4 and bare == member and owner not in ("ChatModel", "openai"):
        return None  # `PhoneModel.O1`
    return _by_letters().get(letters)


@cache
def _by_letters() -> dict[str, str]:
    """Ids of makers by their letters and digits. A host's spellings (`gpt-35-turbo`) are in no SDK's constants."""
    return {
        _letters(name): name
        for name in retirements.known_names()
        if re.search(r"\d", name) and _is_makers(name)
    }


def _is_makers(name: str) -> bool:
    served, rows = retirements.active_on(name), retirements.find(name)
    platforms = [row.platform for row in rows] + ([] if served is None else [served[0]])
    return not platforms or any(platform not in retirements.HOSTS for platform in platforms)


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
