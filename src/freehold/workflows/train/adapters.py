"""`freehold adapters`: what the project owns."""

from __future__ import annotations

import shutil
from pathlib import Path

from freehold import training
from freehold.errors import StorageError, UsageError
from freehold.types.training import TrainingResult
from freehold.workflows.project import Project


def list_adapters(project: Project) -> list[TrainingResult]:
    """The project's finished adapters, by name and then folder."""
    folder = project.state / "adapters"
    if not folder.is_dir():
        return []
    found = [training.read_manifest(place) for place in sorted(folder.iterdir()) if place.is_dir()]
    return [adapter for adapter in found if adapter is not None]


def find_adapter(project: Project, wanted: str) -> TrainingResult:
    """An adapter by name, id (or its beginning), or folder. Raises `UsageError` when none or several match."""
    outside = training.read_manifest(Path(wanted)) if Path(wanted).is_dir() else None
    if outside is not None:
        return outside
    known = list_adapters(project)
    matches = [
        adapter
        for adapter in known
        if wanted in (adapter.name, Path(adapter.path).name) or adapter.id.startswith(wanted)
    ]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UsageError(
            f"{len(matches)} adapters are called {wanted}",
            hint=f"name one by its id: {', '.join(adapter.id[:12] for adapter in matches)}",
        )
    names = ", ".join(sorted({adapter.name for adapter in known}))
    raise UsageError(f"no adapter {wanted}", hint=f"known: {names}" if names else "freehold train makes one")


def remove(adapter: TrainingResult) -> int:
    """Remove an adapter's folder; returns the bytes freed. Raises `StorageError`."""
    folder = Path(adapter.path)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise StorageError(
            f"{error.filename or folder}: cannot be removed: {error.strerror}",
            hint="check who owns the folder",
        ) from None
    return size
