"""The tools whose configurations are read: one file each, and how each is told from the others."""

from __future__ import annotations

from types import ModuleType
from typing import Final

from freehold.workflows.journey.converting.tools import (
    flywheel,
    langfuse,
    litellm,
    openai_files,
    openpipe,
    portkey,
    promptfoo,
    tensorzero,
)

TOOLS: Final[dict[str, ModuleType]] = {
    "litellm": litellm,
    "tensorzero": tensorzero,
    "promptfoo": promptfoo,
    "flywheel": flywheel,
    "openai": openai_files,
    "langfuse": langfuse,
    "openpipe": openpipe,
    "portkey": portkey,
}
"""Each has `TITLE`, `recognises(document)` and `convert(document, parts, incumbent)`; asked in this order."""
