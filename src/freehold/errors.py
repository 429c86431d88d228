"""Every error freehold raises on purpose, sorted by what the caller can do about it.

::

    FreeholdError
    ├── UsageError            what was asked for cannot be done as asked; change the request
    │   ├── ConfigError       freehold.toml: unknown key, wrong type, missing table
    │   │   └── UntrustedError what it has freehold run, read or call was not agreed to
    │   ├── InputError        a file that was handed in: missing, unreadable, malformed (path, line)
    │   └── UnknownModelError a model id nothing here knows
    ├── MissingExtraError     an optional part is not installed; install the named extra
    ├── WeightsError          weights cannot be had or trusted
    │   └── HashMismatchError the bytes are not the ones that were promised
    ├── EngineError           an engine does not start, crashed or lacks a capability
    │   └── PortInUseError    another program listens there
    ├── TrainingError         a training run stopped
    ├── UpstreamError         an endpoint answered with an error or not at all (often worth a retry)
    └── StorageError          disk full, no write access, database locked or damaged
        └── StoreError        the database in particular
            ├── RevisionError a change was made from a reading that is out of date
            └── KeysUnavailableError  keys are required, and this store cannot be the one that holds them

A message names the thing, the value and the place; `hint` is the way out. The command line prints
``error: …`` and ``hint: …`` and exits with `exit_code`; a traceback is only ever a bug of freehold.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any


class FreeholdError(Exception):
    """Base of all errors raised on purpose.

    `hint` says what to do next, `exit_code` is what the command line returns, `retryable` says whether
    the same call may succeed later unchanged.
    """

    exit_code: int = 2
    retryable: bool = False

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @classmethod
    def code(cls) -> str:
        """The kind of error for programs, as ``unknown_model``: the class's name."""
        if cls is FreeholdError:
            return "failed"
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__.strip("_").removesuffix("Error")).lower()

    def told(self) -> dict[str, Any]:
        """What a program gets with `--json` besides message and hint, by field."""
        return {}


class UsageError(FreeholdError):
    """What was asked for cannot be done as asked."""


class ConfigError(UsageError):
    """`freehold.toml` says something freehold does not understand."""


class UntrustedError(ConfigError):
    """`freehold.toml` has freehold run, read or call what its user has not agreed to."""

    def __init__(self, path: Path, new: tuple[str, ...], all: tuple[str, ...]) -> None:
        shown = os.path.relpath(path) if path.parent == Path.cwd() else str(path)
        first = new[0].partition(" with ")[0].partition(" (sha256")[0]
        project = "" if shown == path.name else f" --config {path.parent}"
        super().__init__(
            f"{shown} is not trusted: it {first}",
            hint=f"freehold trust{project} shows {'it' if len(new) == 1 else f'all {len(new)}'}, and asks",
        )
        self.path = path
        self.new = new
        """What was not agreed to yet, a line each."""
        self.all = all


class InputError(UsageError):
    """A file that was handed in is missing, unreadable or malformed."""

    def __init__(
        self, message: str, *, path: str | None = None, line: int | None = None, hint: str | None = None
    ) -> None:
        where = "" if path is None else (f"{path}: " if line is None else f"{path}:{line}: ")
        super().__init__(where + message, hint=hint)
        self.path = path
        self.line = line


class UnknownModelError(UsageError):
    """A model id that is neither in the catalog nor readable from disk."""


class MissingExtraError(FreeholdError):
    """An optional part of freehold is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the extra '{extra}', which is not installed",
            hint=f"pip install 'freehold[{extra}]'",
        )
        self.extra = extra


class WeightsError(FreeholdError):
    """Weights cannot be fetched, read or trusted."""


class HashMismatchError(WeightsError):
    """The bytes at hand are not the bytes that were promised."""

    def __init__(self, what: str, *, expected: str, actual: str, hint: str | None = None) -> None:
        super().__init__(f"{what}: sha256 is {actual}, expected {expected}", hint=hint)
        self.expected = expected
        self.actual = actual


class EngineError(FreeholdError):
    """An engine does not start, crashed, or lacks a capability the plan needs."""


class PortInUseError(EngineError):
    """Another program listens on the port."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"port {port} on {host} is in use",
            hint=f"stop what listens there, or choose another port: --port {port + 1}",
        )


class TrainingError(FreeholdError):
    """A training run stopped before its end."""


class UpstreamError(FreeholdError):
    """An endpoint answered with an error, or not at all."""

    retryable = True


class StorageError(FreeholdError):
    """Disk full, no write access, or a damaged file that freehold wrote."""


class StoreError(StorageError):
    """The database is locked, damaged or of a newer version."""


class RevisionError(StoreError):
    """A change was made from a reading that is out of date."""


class KeysUnavailableError(StoreError):
    """Keys are required, and this store is empty, another one or an older copy."""


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The known name most like a misspelt one; None where none is much like it (`cutoff`: 0 to 1)."""
    import difflib

    found = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return found[0] if found else None


def did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    """A hint: the known name most like a misspelt one, or `otherwise` where none is much like it."""
    near = nearest(name, known)
    return f"did you mean {near}?" if near is not None else otherwise
