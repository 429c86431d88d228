"""What a check of the doctor is given to look at."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from freehold.errors import ConfigError
from freehold.settings import Settings
from freehold.types.config import ProjectConfig


@dataclass(frozen=True, slots=True)
class Site:
    """Where the doctor looks. Nothing is made there: `state` may be missing.

    With a broken `freehold.toml` or environment, `config` is None or `settings` the defaults, and `problems` says why.
    """

    root: Path
    config_path: Path | None
    config: ProjectConfig | None
    settings: Settings
    now: datetime
    problems: tuple[ConfigError, ...] = ()
    began: float = field(default_factory=time.monotonic)

    @property
    def state(self) -> Path:
        """The state folder, which is not made."""
        return self.settings.state or self.root / ".freehold"

    @property
    def store_url(self) -> str:
        """As `Project.store_url`."""
        from freehold.store.database import file_url  # late, as in `Project`

        return self.settings.database_url or file_url((self.state / "freehold.sqlite").absolute())

    @property
    def port(self) -> int:
        """Where the gateway listens."""
        return (self.config.serve.port if self.config else None) or self.settings.port
