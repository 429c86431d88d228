"""Has the base a chat template? Looked up where its weights are here; nothing is fetched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from freehold.errors import FreeholdError
from freehold.hardware.gguf_header import read_header
from freehold.settings import Settings
from freehold.types.dataset import Sample
from freehold.types.finding import Finding, fail, ok
from freehold.types.model import Weights
from freehold.workflows.serve.tools import WAYS_OUT, demanding, model_knows_tools, weights_here

CHECK = "template"
TOOLS = "tools"
_GGUF_KEY = "tokenizer.chat_template"


def template_findings(model: str, settings: Settings) -> Iterator[Finding]:
    """Whether `model` can be put a conversation. Weights that are not here yet are not judged."""
    try:
        weights = weights_here(model, settings)
        found = weights is None or _has_template(weights)
    except (FreeholdError, OSError, msgspec.DecodeError):
        return  # not here, or unreadable: fetching and loading say it better
    if found:
        yield ok(
            CHECK,
            f"{model}: a chat template is there" if weights else f"{model}: not here yet, not looked at",
        )
    else:
        yield fail(
            CHECK,
            f"{model}: its weights carry no chat template, so no conversation can be written for it",
            "use an instruction-tuned base, or one whose files carry a chat template",
        )


def tool_findings(model: str, settings: Settings, samples: Sequence[Sample]) -> Iterator[Finding]:
    """Whether a model that is served as it is, by llama.cpp, can be made to call the tools that requests demand: by its
    weights where they are here, else by the catalog. Nothing is said where neither knows."""
    found, total = demanding(samples)
    if not found:
        return
    if model_knows_tools(model, settings) is False:
        yield fail(
            TOOLS,
            f"{model}: {found:,} of {total:,} held-out requests demand a tool call, and its chat template knows no "
            "tools",
            WAYS_OUT,
        )


def _has_template(weights: Weights) -> bool:
    if weights.chat_template is not None or weights.path is None:
        return True
    path = Path(weights.path)
    if weights.format == "gguf":
        return isinstance(read_header(path).metadata.get(_GGUF_KEY), str)
    folder = path if path.is_dir() else path.parent
    if (folder / "chat_template.jinja").is_file():
        return True
    written = folder / "tokenizer_config.json"
    return not written.is_file() or "chat_template" in msgspec.json.decode(written.read_bytes())
