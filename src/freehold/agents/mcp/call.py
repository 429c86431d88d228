"""What a tool works with while one call of it runs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from freehold.agents.mcp.limits import AgentBudget
from freehold.agents.mcp.places import Places
from freehold.types.progress import Progress

if TYPE_CHECKING:
    from freehold.api.project import FreeholdProject


@dataclass(frozen=True)
class ToolCall:
    """What a tool works with: the project, where files may lie, what may be spent, and who is told of progress."""

    root: Path
    places: Places
    budget: AgentBudget
    progress: Progress

    @cached_property
    def project(self) -> FreeholdProject:
        """The project, read again for each call: its file may have been written since."""
        from freehold.api.project import FreeholdProject

        return FreeholdProject.load(self.root, must_exist=False)
