"""`[[data.match]]`: which requests of a log are a project's task."""

from __future__ import annotations

from typing import Literal

from freehold.types.config.table import Table


class MatchConfig(Table, frozen=True, kw_only=True):
    """`[[data.match]]`: what selects the requests of one task; with several tables, one that fits is enough.

    Texts are compared with their white space collapsed; of a long one the first 6,000 and the last 2,000 characters.
    `init --task` writes it.
    """

    kind: Literal["chat", "completions", "embeddings"] = "chat"
    """Which API is asked."""
    model: str | None = None
    """The model that is asked, as the requests spell it (default: any)."""
    tools: tuple[str, ...] | None = None
    """Names of the tools that are offered, all of them; an empty list is none, `["*"]` any but none (default: any or
    none). A later step of an agent that offers none counts by what its history calls."""
    form: str | None = None
    """Form of answer asked for: a schema's name, `json_object`, or `text` (default: any)."""
    system: tuple[str, ...] | None = None
    """Constant pieces of the instructions, in order; an empty list: any instructions (default: none are there)."""
    user: tuple[str, ...] = ()
    """Constant pieces of the first user turn, in order."""
    without: tuple[tuple[str, ...], ...] = ()
    """Pieces that mark another task: a request that holds all of one of these lists, in order, is left out."""
