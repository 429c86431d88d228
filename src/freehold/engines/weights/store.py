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
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from freehold import files
from freehold.engines.weights.check import sha256_of
from freehold.errors import HashMismatchError, StorageError, UsageError, WeightsError
from freehold.hardware.gguf_header import parts_of
from freehold.progress import Progress
from freehold.types.model import Weights
from freehold.types.record import Record
from freehold.visible import mib

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
        # What was written here from other weights (freehold quants) is meant only when it is asked for.
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

        Raises `HashMismatchError` when it is not; the file stays for inspection and `freehold weights rm`
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
                hint=f"the file changed since it was fetched: freehold pull {weights.model_id} --again",
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
        private: bool = False,
    ) -> StoredWeights:
        """Write the record of weights that are at `weights.path`. The store's own are for other users of the machine as
        well, unless they are `private`: made from what customers said."""
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
        if owned and not private:
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
                    hint="see whether a freehold pull hangs; stop it and try again",
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
                hint="free some space (freehold weights rm), or set FREEHOLD_HOME to another disk",
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
                hint="free some space (freehold weights list), or set FREEHOLD_HOME to another disk",
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
