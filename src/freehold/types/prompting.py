"""What a search for a model's own prompt tried, found and spent."""

from __future__ import annotations

import difflib
from decimal import Decimal
from typing import ClassVar, Literal

from freehold.types.preparation import Preparation
from freehold.types.record import Record, StoredRecord

RefusalCode = Literal["empty", "no_block", "not_text", "unchanged", "repeated", "too_long", "leak"]


class PromptTrial(Record, frozen=True, kw_only=True):
    """One way to ask, measured on samples of the validation split. Counts are of answers."""

    name: str
    """``as sent``, what was changed (``reminder + labels``), or ``proposal 3``."""
    preparation: Preparation
    samples: int
    score: float
    """Mean score, in [0, 1]. An answer that could not be scored counts as 0, for all trials alike."""
    malformed: int
    """Answers in the wrong form."""
    unscored: int = 0
    prompt_tokens: float | None = None
    """Mean tokens of a prepared request; None where the endpoint does not count them."""
    complete: bool = True
    """Measured on all samples of the search; otherwise it was dropped before, behind others."""

    @property
    def malformed_share(self) -> float:
        """Share of answers in the wrong form, in [0, 1]."""
        return self.malformed / self.samples if self.samples else 0.0


class PromptProposal(Record, frozen=True, kw_only=True):
    """One reply of the proposer, and what became of it."""

    number: int
    refused: RefusalCode | None = None
    why_refused: str | None = None
    text: str | None = None
    """The proposed prompt; None where it was refused: what must not be used is not handed on."""
    words: str = ""
    """What the proposer said of it, as it said it: text of a model, to be printed with `freehold.visible`."""


class PromptBudget(Record, frozen=True, kw_only=True):
    """What a search may spend. `requests` are those to the proposer, `usd` all that is paid for."""

    requests: int | None = None
    usd: Decimal | None = None


class PromptEstimate(Record, frozen=True, kw_only=True):
    """What a search will ask at most, told before anything is sent."""

    model: str
    validation_samples: int
    train_samples: int
    """Training samples of which some are shown to the proposer, with the model's answers."""
    variants: int
    """Plain transformations that are tried, the request as it is sent among them."""
    proposer: str | None
    proposer_url: str | None
    """Where the shown samples go; None where the model proposes for itself, or nothing does."""
    proposer_requests: int
    """The most there can be."""
    candidate_requests: int
    """The most there can be; what is the same is asked once."""
    usd: Decimal | None
    """The most it can cost, the budget at most; None where a price is not known."""
    notes: tuple[str, ...] = ()


class PromptSearch(StoredRecord, frozen=True, kw_only=True):
    """A search for the way in which one model is best asked, and its result."""

    kind: ClassVar[str] = "prompt_search"
    unaudited: ClassVar[str | None] = "found by measurement, and used only by a plan that a verdict is about"

    id: str
    base_model: str
    dataset_id: str
    trials: tuple[PromptTrial, ...]
    """As sent first, then in the order in which they were tried."""
    chosen: int
    """Its place in `trials`; 0 where nothing did better than the request as it is sent."""
    proposals: tuple[PromptProposal, ...] = ()
    proposer: str | None = None
    seed: int = 0
    budget: PromptBudget = PromptBudget()
    proposer_requests: int = 0
    candidate_requests: int = 0
    spent_usd: Decimal | None = None
    """Over all runs of the search; None where a price is not known."""
    stopped: str | None = None
    """Why it ended before its budget did."""
    added_usd_per_1000_requests: Decimal | None = None
    """What the longer prompt costs at the endpoint's price; None where it has none."""
    system_share: float = 1.0
    """Share of training samples with the system prompt that was rewritten. Others are sent as they came."""
    notes: tuple[str, ...] = ()
    made_from: tuple[str, ...] = ()

    @property
    def as_sent(self) -> PromptTrial:
        """The application's own request."""
        return self.trials[0]

    @property
    def best(self) -> PromptTrial:
        """The way that was chosen."""
        return self.trials[self.chosen]

    @property
    def preparation(self) -> Preparation | None:
        """What is done to a request; None where it is best sent as it comes."""
        return self.best.preparation if self.chosen else None

    @property
    def added_tokens(self) -> float | None:
        """Tokens that the chosen way adds to a request, on average; None where they are not counted."""
        before, after = self.as_sent.prompt_tokens, self.best.prompt_tokens
        return None if before is None or after is None else after - before

    @property
    def words(self) -> str:
        """What the proposer said of the chosen prompt; empty where it proposed none."""
        text = self.best.preparation.system
        return next((one.words for one in self.proposals if text and one.text == text), "")

    @property
    def diff(self) -> tuple[str, ...]:
        """What changed, as the lines of a unified diff; empty where nothing did."""
        made = self.preparation
        if made is None:
            return ()
        lines = []
        if made.system is not None and made.system != made.system_was:
            before, after = (made.system_was or "").splitlines(), made.system.splitlines()
            lines += list(
                difflib.unified_diff(
                    before, after, "system prompt as sent", "system prompt for this model", lineterm=""
                )
            )
        if made.system_as_user:
            lines += [
                "@@ role @@",
                "-system prompt as a system message",
                "+system prompt opens the first user message",
            ]
        if made.reminder:
            lines += [
                "@@ end of the last user message @@",
                *(f"+{line}" for line in made.reminder.splitlines()),
            ]
        return tuple(lines)


class FoundPrompt(Record, frozen=True, kw_only=True):
    """A search as `freehold prompt` prints it, with what it says of its result."""

    search: PromptSearch
    added_tokens: float | None
    words: str
    diff: tuple[str, ...]

    @classmethod
    def of(cls, search: PromptSearch) -> FoundPrompt:
        """What `search` found."""
        return cls(search=search, added_tokens=search.added_tokens, words=search.words, diff=search.diff)
