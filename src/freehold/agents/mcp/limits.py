"""How much an agent may do before a person looks: calls a minute, requests to models, dollars."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path

from freehold.errors import UsageError
from freehold.visible import visible


class OutsideError(UsageError):
    """A path leads out of the project's folder."""


class Places:
    """Folders whose files may be named. Links count as where they lead."""

    def __init__(self, root: Path, allowed: Iterable[Path] = ()) -> None:
        self._root = root.resolve()
        self._allowed = (self._root, *(one.expanduser().resolve() for one in allowed))

    @property
    def root(self) -> Path:
        return self._root

    def inside(self, name: str) -> Path:
        """The file or folder that is meant, as an absolute path. Raises `OutsideError` for any other place."""
        if "\0" in name:
            raise OutsideError("a path with a NUL byte names nothing")
        try:
            path = (self._root / Path(name).expanduser()).resolve()
        except (RuntimeError, UnicodeEncodeError):  # the home of an unknown user; half of a surrogate pair
            raise OutsideError(f"{visible(name)}: names nothing") from None
        if not any(path.is_relative_to(folder) for folder in self._allowed):
            raise OutsideError(
                f"{name}: outside the project's folder {self._root}",
                hint="copy the file into it, or have the user start the server with --allow FOLDER",
            )
        return path

    def all_inside(self, names: Iterable[str]) -> tuple[Path, ...]:
        return tuple(self.inside(name) for name in names)

    def model(self, name: str) -> str:
        """A model's id; what reads as a path must lie inside, an address is refused."""
        if "://" in name:
            raise OutsideError(f"{name}: a model is named by its id, not by an address")
        looks_like_a_path = name.startswith((".", "/", "~")) or (self._root / name).exists()
        return str(self.inside(name)) if looks_like_a_path else name

    def machine(self, name: str | None) -> str | None:
        """Words for a machine, or a machine file inside."""
        if name is None:
            return None
        looks_like_a_path = name.endswith((".toml", ".json")) or name.startswith((".", "/", "~"))
        return str(self.inside(name)) if looks_like_a_path else name


class FloodError(UsageError):
    """More calls than the server takes."""

    retryable = True


class OverBudgetError(UsageError):
    """What a tool wants to spend is more than is left."""


class CallRate:
    """A token bucket: at most `per_minute` calls in a minute, and no more than that at once."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._size, self._clock = per_minute, clock
        self._tokens, self._at = float(per_minute), clock()
        self._lock = threading.Lock()

    def take(self) -> None:
        """Count a call. Raises `FloodError` that says when the next one is taken."""
        with self._lock:
            now = self._clock()
            self._tokens = min(self._size, self._tokens + (now - self._at) * self._size / 60)
            self._at = now
            if self._tokens < 1:
                wait = (1 - self._tokens) * 60 / self._size
                raise FloodError(
                    f"more than {self._size} calls a minute",
                    hint=f"wait {math.ceil(wait)} s, and ask for less at once",
                )
            self._tokens -= 1


class AgentBudget:
    """What tools may spend while the server runs. Taken before it is spent, and given back where less was: each
    request by itself, as it is sent (see `freehold.workflows.journey.paying`)."""

    def __init__(self, requests: int, usd: Decimal) -> None:
        self.requests, self.usd = requests, usd
        self._lock = threading.Lock()

    @property
    def usd_left(self) -> Decimal:
        """What may still be spent: an answer that cost more than it could leaves less than nothing of `usd`."""
        return max(self.usd, Decimal(0))

    def check(self, requests: int, usd: Decimal | None, what: str) -> None:
        """Whether that much is left, before anything of it is sent. Reserves nothing. Raises as `take` does."""
        with self._lock:
            self._check(requests, usd, what)

    def take(self, requests: int, usd: Decimal | None, what: str) -> None:
        """Reserve. `usd` is an upper estimate; None where no price is known, which no budget of dollars can cover
        unless it is 0 requests. Raises `OverBudgetError`."""
        with self._lock:
            self._check(requests, usd, what)
            self.requests -= requests
            self.usd -= usd or Decimal(0)

    def give_back(self, requests: int, usd: Decimal) -> None:
        """What was reserved and not spent."""
        with self._lock:
            self.requests += max(requests, 0)
            self.usd += max(usd, Decimal(0))

    def charge(self, usd: Decimal) -> None:
        """What was spent beyond what was reserved: it is gone, even where less than that is left."""
        with self._lock:
            self.usd -= usd

    def _check(self, requests: int, usd: Decimal | None, what: str) -> None:
        if requests > self.requests:
            raise OverBudgetError(
                f"{what} would send {requests:,} requests, {self.requests:,} are left",
                hint="ask for fewer, or have the user start the server with a larger --max-requests",
            )
        if usd is None and requests:
            raise OverBudgetError(
                f"what {what} costs is not known here, so that no budget can hold it",
                hint="the user can run the command, or set prices in freehold.toml",
            )
        if usd is not None and usd > self.usd_left:
            raise OverBudgetError(
                f"{what} would cost about {_dollars(usd)}, {_dollars(self.usd_left)} are left",
                hint="ask for less, or have the user start the server with a larger --budget-usd",
            )


def _dollars(usd: Decimal) -> str:
    """With four digits below ten cents: a single request costs less than a cent."""
    return f"${usd:.2f}" if usd == 0 or usd >= Decimal("0.1") else f"${usd:.4f}"
