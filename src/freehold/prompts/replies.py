"""The form of a proposer's reply: said to it in words, or held to by a schema where it cannot keep to words; and read.

A model of many billion weights keeps to a block between two fences. Small ones often do not, and an engine that is held
to a schema writes nothing else, whatever the model.
"""

from __future__ import annotations

import json
import re
from typing import Any

AS_BLOCK = """

First say in at most three sentences what goes wrong and what you change. \
Then write the whole new system prompt between ``` and ``` on lines of their own."""
AS_OBJECT = """

Answer with one JSON object: "why" says in one or two sentences what goes wrong and what you change, and "prompt" is \
the whole new system prompt, as it will be sent."""
"""What ends a question to the proposer, by the form that its reply is to have."""
_FEWEST_LETTERS, _LONGEST_WHY, _LONGEST_PROMPT = 20, 200, 800
MOST_HELD_LETTERS = 1900
"""llama.cpp refuses a grammar that counts beyond 2,000 repetitions, which is what the longest text becomes there
(github.com/ggml-org/llama.cpp, src/llama-grammar.cpp, MAX_REPETITION_THRESHOLD)."""
_BLOCK = re.compile(r"^[ \t]*```[^\n`]*\n(.*?)^[ \t]*```[ \t]*$", re.DOTALL | re.MULTILINE)


def object_format(current: str) -> dict[str, Any]:
    """The ``response_format`` that holds a reply to an object with `current`'s successor. It bounds both texts, so that
    a model that does not come to an end is brought to one; a prompt too long for that bound has none."""
    longest = max(_LONGEST_PROMPT, 2 * len(current))
    prompt: dict[str, Any] = {"type": "string", "minLength": _FEWEST_LETTERS}
    if longest <= MOST_HELD_LETTERS:
        prompt["maxLength"] = longest
    schema = {
        "type": "object",
        "properties": {"why": {"type": "string", "maxLength": _LONGEST_WHY}, "prompt": prompt},
        "required": ["why", "prompt"],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "proposal", "schema": schema}}


def split(reply: str) -> tuple[str | None, str]:
    """The prompt in a reply, and the words around it: of an object its two texts; else the longest block between ```
    and ```. None without."""
    if (told := _object(reply)) is not None:
        return told
    blocks = [found[1] for found in _BLOCK.finditer(reply)]
    if not blocks:
        return None, reply.strip()
    block = max(blocks, key=len)
    around = " ".join(_BLOCK.sub(" ", reply).split())
    told = _object(block)  # an object between fences
    return (block.strip(), around) if told is None else (told[0], told[1] or around)


def _object(text: str) -> tuple[str, str] | None:
    """Prompt and reason of an object as `object_format` asks for it; None for anything else."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict) or not isinstance(told.get("prompt"), str):
        return None
    why = told.get("why")
    return told["prompt"].strip(), " ".join(why.split()) if isinstance(why, str) else ""
