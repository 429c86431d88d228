"""The console's screens: what each shows, as one record that its script draws.

A screen is a view in `freehold.workflows.tell.views`, a script in ``static``, and a line in `SCREENS`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from freehold.store import Store
from freehold.types.record import Record
from freehold.workflows.project import Project
from freehold.workflows.tell.views.rollout import overview


class ScreenView(Protocol):
    """Makes a screen's record from what the store holds. It looks and never acts."""

    def __call__(self, project: Project, store: Store, *, at: datetime, window_s: float) -> Record:
        """What there is to see at a time, looking `window_s` seconds back."""


SCREENS: dict[str, ScreenView] = {"rollout": overview}
