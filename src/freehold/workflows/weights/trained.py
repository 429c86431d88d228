"""What a project has trained, adapters and encoders, by what a person calls it."""

from __future__ import annotations

import builtins
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar

from freehold import files, training
from freehold.errors import UsageError
from freehold.training import encoder
from freehold.types.encoder import EncoderModel
from freehold.types.training import TrainingResult
from freehold.workflows.project import Project


class TrainedRecord(Protocol):
    """What both kinds of record say."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def path(self) -> str: ...


T = TypeVar("T", bound=TrainedRecord)

_DIGITS = 8
"""Of an id: fewer may be a name."""


class Shelf(NamedTuple, Generic[T]):
    """Records of one kind, each in a folder of its own in the project's state. `hint` is what makes one."""

    noun: str
    hint: str
    read: Callable[[Path], T | None]

    def folder(self, project: Project) -> Path:
        """Where a project's own are."""
        return project.state / f"{self.noun}s"

    def list(self, project: Project) -> builtins.list[T]:
        """The project's finished ones, by name and then folder. Raises `InputError` for a damaged record."""
        folder = self.folder(project)
        if not folder.is_dir():
            return []
        records = [self.read(place) for place in sorted(folder.iterdir()) if place.is_dir()]
        return [record for record in records if record is not None]

    def matching(self, project: Project, wanted: str) -> builtins.list[T]:
        """Those that `wanted` may mean: one of a folder, else the project's own of that name or id."""
        outside = self.read(Path(wanted)) if Path(wanted).is_dir() else None
        if outside is not None:
            return [outside]
        return [
            one
            for one in self.list(project)
            if wanted in (one.name, Path(one.path).name)
            or (len(wanted) >= _DIGITS and one.id.startswith(wanted))
        ]

    def find(self, project: Project, wanted: str) -> T:
        """One by name, id (or its beginning), or folder. Raises `UsageError` when none or several match."""
        found = self.matching(project, wanted)
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(
                f"{len(found)} {self.noun}s are called {wanted}",
                hint=f"name one by its id: {', '.join(one.id[:12] for one in found)}",
            )
        names = ", ".join(sorted({one.name for one in self.list(project)}))
        raise UsageError(f"no {self.noun} {wanted}", hint=f"known: {names}" if names else self.hint)

    def remove(self, one: T) -> int:
        """Remove its folder; returns the bytes freed. Raises `StorageError`."""
        folder = Path(one.path)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        with files.writing(f"{folder}: cannot be removed", hint="check who owns the folder"):
            shutil.rmtree(folder)
        return size


ADAPTERS: Shelf[TrainingResult] = Shelf("adapter", "freehold train makes one", training.read_manifest)
ENCODERS: Shelf[EncoderModel] = Shelf(
    "encoder", 'freehold migrate trains one: method = "encoder"', encoder.read_record
)
