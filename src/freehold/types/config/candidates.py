"""`[[candidates]]` and `[selection]`: which models are tried, how each is made, which are proven."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from msgspec import Meta

from freehold.types.config.table import Table
from freehold.types.method import MethodName

DEFAULT_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""The model that commands mean where a project names none."""


class MethodSettings(Table, frozen=True, kw_only=True):
    """What a candidate says about its method. Keys of other methods are errors."""

    system: str | None = None
    """Method `prompt`: the system prompt it is asked with, where the application's stands. Requests with another one go
    as they came."""
    stage: Literal["auto", "frozen", "contrastive", "tuned"] | None = None
    """Method `encoder`: what learns: the heads alone (`frozen`), or the encoder too; `auto` (default) by the number of
    samples."""


class CandidateConfig(MethodSettings, frozen=True, kw_only=True):
    """`[[candidates]]`: one model and one method each. Left out altogether, `freehold migrate` proposes some."""

    model: str
    """Catalog id, path to weights, or the name an endpoint knows it by."""
    method: MethodName | None = None
    """How it is made (default: `as_is` where it runs elsewhere, else the method of `[train]`)."""
    endpoint: str | None = None
    """One of `[[endpoints]]` that it runs behind. Left out, it runs here."""
    name: str | None = None
    """Tells two candidates of the same model and method apart in the report."""
    train: dict[str, Any] = {}
    """Keys of `[train]` that are different for this candidate: `train = { r = 16, epochs = 2 }`."""


class SelectionConfig(Table, frozen=True, kw_only=True):
    """`[selection]`: how several candidates are measured before they share one look at held-out samples."""

    stop: Literal["first", "all"] = "first"
    """`first` stops at the first candidate whose selection result suffices, cheapest expected first; `all` makes and
    measures every one, each to its end (as does `freehold migrate --all-candidates`)."""
    within_minutes: Annotated[float, Meta(gt=0, description="minutes, above 0")] | None = None
    """Once that long was spent on making and measuring several candidates, and one is left that was not shown to be
    worse, no further one is begun. Training ends with it as well, at its best so far, and so does the reading of texts:
    an encoder learns from what it has read, and says how many it has not. A further candidate is trained for half of it
    at least. A command that goes on after a kill counts from 0. Left out: 15 without an accelerator, no limit with one
    or where `stop` is `all`."""
    usd_per_hour: Decimal | None = None
    """Dollars that an hour of this machine costs you (default: what its accelerators rent for; without any 5 cents a
    core). Candidates that run here are compared by it with those that have a price."""


SETTINGS_OF: dict[str, tuple[MethodName, ...]] = {
    "system": ("prompt",),
    "stage": ("encoder",),
    "train": ("lora", "qlora", "full", "encoder"),
}
"""The methods that read a key of `[[candidates]]`."""

CHOOSING: tuple[MethodName, ...] = ("examples", "encoder")
"""Methods that choose among settings of their own by measuring."""
