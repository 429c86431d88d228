"""What `--json` prints where that has no record elsewhere: several together, or fewer fields than a record has.

Imported when something is printed or a schema is made, never for ``--help``.
"""

from __future__ import annotations

from typing import Literal

from freehold.catalog.synced import SyncedModel
from freehold.catalog.weights import PublishedQuantization
from freehold.engines.weights.store import StoredWeights
from freehold.types.encoder import EncoderModel
from freehold.types.evaluation import PairedResult
from freehold.types.finding import Preflight
from freehold.types.license import RulingOutcome
from freehold.types.model import Model
from freehold.types.record import Record
from freehold.types.training import Adapter
from freehold.workflows.journey.migrate import Migration
from freehold.workflows.project_store import HeldLock
from freehold.workflows.serve.background import Served


class Failure(Record, frozen=True, kw_only=True):
    """Why a command ended. `message` and `hint` are for people, `code` is for programs and says the kind of error."""

    message: str
    hint: str | None
    """The way out, where one is known."""
    code: str
    exit_code: int
    """What the command ends with."""
    retryable: bool
    """Whether the same command may succeed later, unchanged."""


class ErrorDocument(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What `--json` prints, instead of or behind a document, where a command ends with an error."""

    error: Failure
    lock: HeldLock | None = None
    """Who holds what the command needs for itself (code `locked`)."""
    preflight: Preflight | None = None
    """All that was found before anything was spent (code `preflight`)."""


class KnownModels(Record, frozen=True, kw_only=True):
    """Models of the shipped catalog and those that were asked of a hub."""

    shipped: tuple[Model, ...]
    synced: tuple[SyncedModel, ...]


class ShippedModel(Model, frozen=True, kw_only=True):
    """A model of the shipped catalog, with what is published about it."""

    quantizations: tuple[PublishedQuantization, ...]


class HeldModels(Record, frozen=True, kw_only=True):
    """What is held here: weights that were fetched, and what was trained."""

    weights: tuple[StoredWeights, ...]
    adapters: tuple[Adapter, ...]
    encoders: tuple[EncoderModel, ...]


class Complied(Record, frozen=True, kw_only=True):
    """The files that a licence asks for, as they were written."""

    outcome: RulingOutcome
    files: tuple[str, ...]
    due: int = 0
    """Duties that are due for this use."""
    done: int = 0
    """Those of them that people say are done."""


class Migrated(Record, frozen=True, kw_only=True):
    """A migration, and the endpoint it left running, if it did."""

    migration: Migration
    endpoint: Served | None


class SettingLine(Record, frozen=True, kw_only=True, rename={"origin": "from"}):
    """A setting of this machine. A password in an address is left out of `value`."""

    variable: str
    value: str | None
    origin: Literal["environment", "default"]
    help: str


class ComparedPairs(PairedResult, frozen=True, kw_only=True):
    """The comparison of two columns of scores, with the pairs left out as a number and by side."""

    unscored: int  # type: ignore[assignment]
    """Pairs without a score on at least one side."""
    unscored_by_side: dict[str, int]


class Serving(Record, frozen=True, kw_only=True):
    """What answers now, printed once it does: address without ``/v1``, names of models, folder of logs."""

    url: str
    models: tuple[str, ...]
    logs: str
