"""A lineage from what lies on disk.

Read: freehold's own lineage file (JSON or TOML), a list of roles as in worked cases, a model card, an
adapter's config, GGUF metadata, freehold's adapter and dataset manifests.
Not read: weights themselves; an ancestor that is not written down is not found.
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from freehold import files
from freehold.catalog.licenses import releases_of
from freehold.errors import InputError, MissingExtraError
from freehold.types.license import OWN_MARK, EdgeKind, Lineage, LineageEdge
from freehold.types.use import UseProfile
from freehold.workflows.license.cases import lineage_of, unread, use_of

_WEIGHTS = frozenset({".safetensors", ".gguf", ".bin", ".pt", ".pth", ".onnx"})
_CARD_RELATIONS: dict[str, EdgeKind] = {
    "finetune": "fine_tune",
    "adapter": "adapter",
    "quantized": "quantize",
    "merge": "merge",
}


class ReadLineage(NamedTuple):
    """A lineage and, where the file describes one, the use."""

    lineage: Lineage
    use: UseProfile | None


def lineage_path(model: str) -> Path | None:
    """The file or folder that a MODEL of the command line names; None for a model's name, and for one that the catalog
    knows whatever lies here."""
    path = Path(model).expanduser()
    named = path.suffix in (".json", ".toml", ".md", ".gguf")
    return path if (named or path.exists()) and model and not releases_of(model) else None


def read_lineage(path: Path, use: UseProfile) -> ReadLineage:
    """Read a lineage from a file or a folder that holds a manifest, an adapter config or a model card.

    Raises `InputError` with the path when nothing there is a lineage, or when a part does not fit.
    """
    if path.is_dir():
        path = _inside(path)
    try:
        if path.suffix == ".gguf":
            return ReadLineage(_from_gguf(path), None)
        if path.suffix == ".md":
            return ReadLineage(_from_card(path), None)
        data = _load(path)
        if isinstance(data, list):
            data = {"lineage": data}
        if not isinstance(data, dict):
            raise InputError("holds neither a table nor a list", path=str(path))
        return _from_table(data, path, use)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=str(path)) from None
    except (msgspec.ValidationError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"not a lineage: {error}",
            path=str(path),
            hint='expected {"model": …, "edges": [{"kind": "base", "model": …}]}; see docs/guides/license.md',
        ) from None


def _inside(folder: Path) -> Path:
    for name in ("lineage.json", "lineage.toml", "manifest.json", "adapter_config.json", "README.md"):
        if (folder / name).is_file():
            return folder / name
    raise InputError(
        "no lineage here", path=str(folder), hint="looked for lineage.json, manifest.json, README.md …"
    )


def _load(path: Path) -> Any:
    raw = path.read_bytes()
    try:
        if path.suffix == ".toml":
            return tomllib.loads(raw.decode())
        return msgspec.json.decode(raw)
    except (tomllib.TOMLDecodeError, RecursionError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"neither JSON nor TOML: {error}", path=str(path)) from None


def _from_table(data: dict[str, Any], path: Path, use: UseProfile) -> ReadLineage:
    if "edges" in data:
        return ReadLineage(msgspec.convert(data, Lineage), None)
    if "lineage" in data:
        if missed := unread(data.get("use") or {}, data["lineage"]):
            raise InputError(
                missed[0], path=str(path), hint="freehold settings --keys use lists the keys of a use"
            )
        own_use = use_of(data["use"]) if "use" in data else None
        return ReadLineage(lineage_of(data["lineage"], own_use or use), own_use)
    if "base_model_name_or_path" in data:
        return ReadLineage(_from_adapter_config(data, path), None)
    if "base_model" in data and "dataset_id" in data:
        return ReadLineage(_from_adapter_manifest(data, path), None)
    raise InputError(
        "no lineage in it",
        path=str(path),
        hint="known: edges, lineage, an adapter's config or manifest",
    )


def _from_adapter_config(data: dict[str, Any], path: Path) -> Lineage:
    name = path.parent.name or "adapter"
    base = LineageEdge(kind="base", model=str(data["base_model_name_or_path"]))
    return Lineage(model=name, edges=(base, LineageEdge(kind="adapter", model=f"{OWN_MARK} {name}")))


def _from_adapter_manifest(data: dict[str, Any], path: Path) -> Lineage:
    """An adapter freehold trained. The incumbent's answers it learned from bring the service's terms in."""
    name = str(data["name"])
    edges = [LineageEdge(kind="base", model=str(data["base_model"]))]
    dataset = _dataset_manifest(path, str(data["dataset_id"]))
    learned = int(dataset.get("targets_from", {}).get("incumbent", 0))
    if learned and dataset.get("incumbent_model"):
        note = f"{learned:,} training targets are its answers"
        edges.append(LineageEdge(kind="distilled_from", model=str(dataset["incumbent_model"]), note=note))
    edges.append(LineageEdge(kind="adapter", model=f"{OWN_MARK} {name}"))
    return Lineage(model=name, edges=tuple(edges))


def _dataset_manifest(adapter: Path, dataset_id: str) -> dict[str, Any]:
    for folder in adapter.absolute().parents:
        for manifest in (folder / "datasets").glob("*/manifest.json"):
            data = _load(manifest)
            if isinstance(data, dict) and data.get("id") == dataset_id:
                return data
    raise InputError(
        f"dataset {dataset_id}, which it was trained on, is not there: whose answers it learned is unknown",
        path=str(adapter),
        hint="keep .freehold/datasets, or write a lineage file",
    )


def front_matter(path: Path) -> dict[str, Any]:
    """The YAML block a model card begins with. Raises `InputError` when there is none or it is broken."""
    import yaml

    text = path.read_text(encoding="utf-8", errors="replace").lstrip("\ufeff")
    if not text.startswith("---"):
        raise InputError("a model card begins with a block between --- lines", path=str(path))
    try:
        data = yaml.safe_load(text[3:].partition("\n---")[0])
    except yaml.YAMLError as error:
        raise InputError(f"the block between --- lines is not YAML: {error}", path=str(path)) from None
    return data if isinstance(data, dict) else {}


def _from_card(path: Path) -> Lineage:
    data = front_matter(path)
    bases = _strings(data.get("base_model"))
    claimed = next(iter(_strings(data.get("license_name")) or _strings(data.get("license"))), None)
    name = str(data.get("model_name") or path.absolute().parent.name)
    if not bases:
        raise InputError(
            "the model card names no base_model",
            path=str(path),
            hint="add base_model and base_model_relation to it, or write a lineage file",
        )
    relation = _CARD_RELATIONS.get(str(data.get("base_model_relation")), "fine_tune")
    if len(bases) > 1:
        relation = "merge"
    edges = [LineageEdge(kind="merge" if relation == "merge" else "base", model=base) for base in bases]
    if relation != "merge":
        edges.append(LineageEdge(kind=relation, model=f"{OWN_MARK} {name}", claimed_license=claimed))
    else:
        edges.append(LineageEdge(kind="fine_tune", model=f"{OWN_MARK} {name}", claimed_license=claimed))
    edges += [LineageEdge(kind="trained_on", model=dataset) for dataset in _strings(data.get("datasets"))]
    return Lineage(model=name, edges=tuple(edges))


def _from_gguf(path: Path) -> Lineage:
    try:
        from gguf import GGUFReader
    except ImportError:
        raise MissingExtraError("reading GGUF metadata", "local") from None
    if not path.is_file():
        raise InputError("no such file", path=str(path))
    try:
        fields = GGUFReader(str(path)).fields
    except (ValueError, KeyError, IndexError) as error:
        raise InputError(f"not a GGUF file: {error}", path=str(path)) from None
    text = {key: str(field.contents()) for key, field in fields.items() if key.startswith("general.")}
    name = text.get("general.name", path.stem)
    edges = []
    for number in range(int(text.get("general.base_model.count", "0"))):
        prefix = f"general.base_model.{number}"
        url = text.get(f"{prefix}.repo_url", "")
        hub_id = "/".join(url.rstrip("/").split("/")[-2:]) if url else text.get(f"{prefix}.name", "unknown")
        edges.append(LineageEdge(kind="base", model=hub_id))
    if not edges:
        raise InputError(
            "its metadata names no base model",
            path=str(path),
            hint="general.base_model.0.repo_url is missing: write a lineage file",
        )
    edges.append(
        LineageEdge(kind="quantize", model=f"{OWN_MARK} {name}", claimed_license=text.get("general.license"))
    )
    return Lineage(model=name, edges=tuple(edges))


def _strings(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def file_hashes(path: Path) -> dict[str, str]:
    """File name → sha256: as freehold's adapter manifest states them, else of the weight files themselves.

    Raises `InputError` when a file cannot be read.
    """
    file = _inside(path) if path.is_dir() else path
    if file.suffix == ".json":
        data = _load(file)
        stated = data.get("files", {}) if isinstance(data, dict) else {}
        if isinstance(stated, dict) and stated:
            return {str(name): str(digest) for name, digest in stated.items()}
    weights = sorted(path.iterdir()) if path.is_dir() else [path]
    found = {}
    for one in weights:
        if one.suffix in _WEIGHTS and one.is_file():
            with files.reading(one), one.open("rb") as stream:
                found[one.name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found
