"""A table of error rates: cells that must hold, cells that are shown failing on purpose, markdown."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

CELL_Z = 2.6  # many cells are looked at, so one standard error or two would cry wolf


@dataclass(frozen=True)
class Cell:
    """One figure with what it must satisfy. `runs` is None where it was enumerated, without sampling error.

    `naive` cells are what people do instead; they are shown and must miss the target.
    """

    value: float
    target: float | None = None
    kind: Literal["at most", "at least"] = "at most"
    runs: int | None = None
    naive: bool = False
    digits: int = 4

    @property
    def error(self) -> float:
        """Monte-Carlo standard error at the target rate."""
        if self.runs is None or self.target is None:
            return 0.0
        return math.sqrt(self.target * (1 - self.target) / self.runs)

    @property
    def holds(self) -> bool:
        if self.target is None:
            return True
        slack = CELL_Z * self.error + 1e-9
        within = (
            self.value <= self.target + slack if self.kind == "at most" else self.value >= self.target - slack
        )
        return within != self.naive

    def __str__(self) -> str:
        text = f"{self.value:.{self.digits}f}"
        return f"*{text}*" if self.naive else text if self.holds else f"**{text}** ✗"


@dataclass(frozen=True)
class Block:
    """One block of the validation: what was done, what is promised, the figures."""

    letter: str
    title: str
    design: str
    target: str
    header: tuple[str, ...]
    rows: list[tuple[str | Cell, ...]] = field(default_factory=list)

    @property
    def cells(self) -> list[Cell]:
        return [part for row in self.rows for part in row if isinstance(part, Cell)]

    @property
    def holds(self) -> bool:
        return all(cell.holds for cell in self.cells)

    def markdown(self) -> str:
        lines = [f"## {self.letter} — {self.title}", "", self.design, "", f"Target: {self.target}", ""]
        lines += ["| " + " | ".join(self.header) + " |", "|" + "---|" * len(self.header)]
        lines += ["| " + " | ".join(str(part) for part in row) + " |" for row in self.rows]
        return "\n".join(lines) + "\n"
