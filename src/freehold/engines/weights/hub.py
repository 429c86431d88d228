"""Weights from a hub, through the `huggingface-hub` library: resumed downloads, hashes, gated repositories.

What the library's own cache holds already is read in place. What is fetched goes to ``<home>/weights``.
"""

from __future__ import annotations

import functools
import logging
import re
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from freehold.catalog.hub import endpoint, hub_errors, library
from freehold.engines.weights.store import refuse_pickle, storage_errors
from freehold.errors import MissingExtraError, UnknownModelError, WeightsError
from freehold.hardware.gguf_header import parts_of
from freehold.progress import Progress

log = logging.getLogger(__name__)

FALLBACKS = ("Q8_0", "Q4_K_M", "Q4_0", "Q6_K", "BF16", "F16")
"""Which quantization to take from a repository of GGUFs when none is asked for, best first."""


class HubFile(NamedTuple):
    """One file of a repository. `sha256` is what the hub says it is (None for small files outside LFS)."""

    name: str
    bytes: int | None
    sha256: str | None


def list_files(repo: str, revision: str | None) -> tuple[str, list[HubFile]]:
    """The commit a revision stands for, and its files."""
    hub = library()
    with _errors(repo):
        info = hub.HfApi(endpoint=endpoint()).model_info(repo, revision=revision, files_metadata=True)
    files = [
        HubFile(item.rfilename, item.size, item.lfs.sha256 if item.lfs else None)
        for item in info.siblings or []
    ]
    return str(info.sha), files


_ASKED = "Qwen/Qwen3-0.6B"
_PATIENCE_S = 3.0


def _errors(repo: str) -> AbstractContextManager[None]:
    return hub_errors(repo, WeightsError, way_out="or name a file: freehold models pull file:PATH.gguf")


def is_out_of_reach(error: WeightsError) -> bool:
    """Whether an error of this module means that no hub was asked at all."""
    return "cannot be reached" in error.message or "HF_HUB_OFFLINE" in error.message


@functools.cache
def unreachable() -> str | None:
    """Why nothing can be fetched from the hub; None where it answers. It is asked once, for seconds at most."""
    try:
        hub = library()
        with _errors(_ASKED):
            hub.HfApi(endpoint=endpoint()).model_info(_ASKED, timeout=_PATIENCE_S)
    except MissingExtraError as error:
        return error.message
    except WeightsError as error:
        return "the hub cannot be reached" if is_out_of_reach(error) else None
    except UnknownModelError:
        pass  # a mirror that has not this one
    return None


def choose(repo: str, files: list[HubFile], file: str | None, quantization: str | None) -> list[HubFile]:
    """What to fetch: the named file, the GGUF of that quantization (all parts of a split one, in order) or the only
    one, or all safetensors with what they need.

    Raises `WeightsError` when the repository has only pickles, `UnknownModelError` when it has no such file.
    """
    by_name = {item.name: item for item in files}
    if file is not None:
        refuse_pickle(file)
        if file not in by_name:
            raise UnknownModelError(f"{repo} has no file {file}")
        return _all_parts(repo, by_name[file], by_name)
    ggufs = [item for item in files if item.name.endswith(".gguf") and "mmproj" not in item.name]
    if ggufs:
        wanted = FALLBACKS if quantization is None else (quantization,)
        for name in wanted:
            matching = sorted(item for item in ggufs if _is_quantization(item.name, name))
            if matching:
                return _all_parts(repo, matching[0], by_name)
        wholes = {parts_of(PurePosixPath(item.name))[0]: item for item in reversed(ggufs)}
        if quantization is None and len(wholes) == 1:  # nothing to choose from
            return _all_parts(repo, next(iter(wholes.values())), by_name)
        listed = ", ".join(item.name for item in ggufs[:8])
        raise UnknownModelError(f"{repo} has no {quantization or 'usual'} GGUF", hint=f"it has: {listed}")
    tensors = [item for item in files if item.name.endswith(".safetensors") and "/" not in item.name]
    if tensors:
        companions = (".json", ".model", ".jinja", ".txt")
        return tensors + [item for item in files if item.name.endswith(companions) and "/" not in item.name]
    for item in files:
        refuse_pickle(item.name)
    raise WeightsError(f"{repo} has neither GGUF nor safetensors files")


def _is_quantization(file: str, name: str) -> bool:
    """Whether a file's name says this quantization: ``F16`` is not in ``model-BF16.gguf``."""
    return re.search(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9_])", file, re.IGNORECASE) is not None


def _all_parts(repo: str, first: HubFile, by_name: dict[str, HubFile]) -> list[HubFile]:
    names = [path.as_posix() for path in parts_of(PurePosixPath(first.name))]
    if missing := next((name for name in names if name not in by_name), None):
        raise WeightsError(f"{repo} lacks a part of {first.name}: {missing}")
    return [by_name[name] for name in names]


def fetch(repo: str, commit: str, files: list[HubFile], folder: Path, *, progress: Progress) -> Path:
    """Fetch `files` into `folder` (the path of the GGUF, or of its first part; for safetensors the folder).

    A broken download goes on where it stopped. Raises `WeightsError` (gated, not found, not reachable) and
    `StorageError`.
    """
    hub = library()
    total = sum(item.bytes or 0 for item in files)
    done = 0
    log.info("%s at %s: fetching %d files, %d bytes", repo, commit, len(files), total)
    for item in files:
        progress.step(f"fetch {item.name}", note=repo)
        with storage_errors(folder), _errors(repo):
            hub.hf_hub_download(
                repo,
                item.name,
                revision=commit,
                local_dir=folder,
                endpoint=endpoint(),
                tqdm_class=_bar(progress, done, total),
            )
        done += item.bytes or 0
        progress.update(done, total, unit="bytes")
    first = files[0].name
    return folder / first if len(files) == 1 or first.endswith(".gguf") else folder


def cached(repo: str, file: str, revision: str | None) -> Path | None:
    """Where the library's own cache holds the file, if it does."""
    try:
        hub = library()
    except MissingExtraError:
        return None
    try:
        found = hub.try_to_load_from_cache(repo, file, revision=revision)
    except ValueError:  # a name no repository can have
        return None
    return Path(found) if isinstance(found, str) else None


def cached_repository(repo: str, revision: str | None, quantization: str | None) -> Path | None:
    """What the library's own cache holds of a whole repository: a GGUF, or a folder of safetensors that is complete.

    Which GGUF is the choice of `choose`, among those that are here.
    """
    try:
        hub = library()
    except MissingExtraError:
        return None
    try:
        folder = Path(hub.snapshot_download(repo, revision=revision, local_files_only=True))
    except (OSError, ValueError):  # both mean "not in the cache"
        return None
    here = [
        HubFile(path.name, path.stat().st_size, None) for path in sorted(folder.glob("*")) if path.is_file()
    ]
    try:
        chosen = choose(repo, here, None, quantization)
    except (UnknownModelError, WeightsError):
        return None
    if chosen[0].name.endswith(".gguf"):
        return folder / chosen[0].name
    needed = ("config.json", "tokenizer_config.json")
    return folder if all((folder / name).is_file() for name in needed) else None


def _bar(progress: Progress, before: int, total: int) -> type[Any]:
    """What the library takes for a tqdm bar, reporting to a `Progress` instead of drawing."""

    class Bar:
        def __init__(self, **options: Any) -> None:
            self.n: float = options.get("initial") or 0
            self.total = options.get("total")

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: object) -> None:
            return

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            progress.update(before + self.n, total or None, unit="bytes")

        def set_description(self, *_: object, **__: object) -> None:
            return

        def refresh(self, *_: object, **__: object) -> None:
            return

        def close(self) -> None:
            return

    return Bar
