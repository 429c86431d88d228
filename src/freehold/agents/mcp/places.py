"""Which files an agent may name: those of the project's folder, and of folders that its user allowed."""

from __future__ import annotations

from collections.abc import Iterable
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
