"""Adapters as they are attached: from a command line's ``NAME=PATH``, and from what training left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from freehold import files
from freehold.errors import EngineError, InputError, UsageError
from freehold.training.artefacts import TEMPLATE, WHOLE_GGUF
from freehold.types.endpoint import AdapterMount
from freehold.types.engine import EngineKind
from freehold.types.model import Weights
from freehold.types.training import TrainingResult

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


def trained_adapter(adapter: TrainingResult, name: str, kind: EngineKind) -> AdapterMount:
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


def taught_template(manifest: TrainingResult | None, folder: Path) -> str | None:
    """The chat template that must be served with what training left in `folder`; None where the base's own does.

    Raises `InputError` where it is missing: with another template, calls would be answered as text.
    """
    if manifest is None or manifest.call_format == "template":
        return None
    with files.reading(folder / TEMPLATE):
        return (folder / TEMPLATE).read_text(encoding="utf-8")


def trained_weights(base: Weights, result: TrainingResult, name: str) -> Weights:
    """The weights that full fine-tuning of `base` left, as a model called `name`."""
    return msgspec.structs.replace(
        base,
        model_id=name,
        path=str((Path(result.path) / WHOLE_GGUF).absolute()),
        sha256=result.files[WHOLE_GGUF],
        quantization="Q8_0",
        chat_template=taught_template(result, Path(result.path)) or base.chat_template,
    )


def _manifest(path: Path) -> TrainingResult | None:
    file = (path if path.is_dir() else path.parent) / MANIFEST
    if not file.is_file():
        return None
    try:
        return msgspec.json.decode(file.read_bytes(), type=TrainingResult)
    except (OSError, msgspec.MsgspecError) as error:
        raise InputError(f"not an adapter's manifest: {error}", path=str(file)) from None
