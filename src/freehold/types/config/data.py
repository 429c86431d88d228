"""`[data]` and `[curate]`: where traces come from, and what is done to samples before they are learned from."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from freehold.types.config.table import ShareBelowOne, Table


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


class DataConfig(Table, frozen=True, kw_only=True):
    """`[data]`: where traces come from. `files` are relative to `freehold.toml`.

    `format` is told from the content when ``auto``. For ``columns``
    (tables, or JSON lines without messages) `input` and `label` name the columns, and `system` is the instruction put
    before each input. `held_out_files` are kept for evaluation whole, and then nothing of `files` is unless `held_out`
    says so.
    """

    files: tuple[str, ...] = ()
    """Log files to import."""
    held_out_files: tuple[str, ...] = ()
    """Files kept for evaluation whole."""
    format: str = "auto"
    """Format of the files: `auto`, or a name that `freehold import --help` lists."""
    input: str | None = None
    """Column of the question, for tables (default: `input`, `text`, `question` …)."""
    label: str | None = None
    """Column of the right answer, for tables (default: `label`, `category`, `gold` …)."""
    incumbent: str | None = None
    """Column of the incumbent's answer, for tables (default: `output`, `response` …)."""
    answers: Literal["incumbent", "gold"] = "incumbent"
    """What a recorded answer is: the incumbent's, or right (a fine-tuning file holds what was wanted)."""
    system: str | None = None
    """Instruction put before each input, for tabular files."""
    unlabelled: bool = False
    """Take in messages without an answer, too: rows of tables are kept that would be rejected, and encoders learn from
    them and from captured ones where labels have few samples."""
    held_out: ShareBelowOne | None = None
    """Share of groups held out for evaluation (default: 0.2; 0.95 where nothing is learned, chosen or calibrated; 0
    where there are `held_out_files`)."""
    validation: ShareBelowOne | None = None
    """Share of the remaining groups kept to choose among candidates and to watch training (default: what choosing is
    worth at this margin, from 0.05 to 0.25; 0.05 where there is nothing to choose)."""
    limit: int | None = None
    """At most this many training samples."""
    held_out_limit: int | None = None
    """At most this many held-out samples."""
    match: tuple[MatchConfig, ...] = ()
    """Which requests of the files and of captured traffic are this project's task (default: all)."""


PersonalData = Literal["auto", "library", "patterns", "off"]


class CurateConfig(Table, frozen=True, kw_only=True):
    """`[curate]`: what `freehold dataset build` does to samples. Keys, tokens and passwords in URLs are always
    replaced (more kinds with the extra `pii`)."""

    personal_data: PersonalData = "auto"
    """Replace personal data by placeholders, the same for the same value: `library` (Presidio, extra `pii`), `patterns`
    (built in), `off`; `auto` takes the library where it is installed."""
    near_duplicates: Annotated[float, Meta(ge=0, le=1, description="0 (off) or from 0.3 to 1")] = 0.8
    """From this similarity on (share of common pieces of text, 0 to 1) two questions are the same, and what differs in
    one garbled, missing or added word from what is held out is not taught; 0 compares only exactly."""
