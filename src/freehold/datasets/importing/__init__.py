"""Read what applications and tools logged, whatever the format: one importer a file, one registry, told by content.

Covered: the formats of `IMPORTERS`, in JSON lines, JSON, CSV, Parquet and Arrow, gzip or Zstandard compressed, also
folders of them; any number of records in little memory. A bad record is yielded as a `RejectedRecord` with its line and
reason, one that is sound but not a call of a model as `PassedOver`; reading goes on.
Not covered: live fetching from those tools.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from freehold.datasets.importing import plain, tools
from freehold.datasets.importing.importer import Columns, Importer, Mapping
from freehold.datasets.importing.opentelemetry import OPENTELEMETRY
from freehold.datasets.importing.records import Imported, PassedOver, RecordOutcome, RejectedRecord
from freehold.errors import ConfigError, InputError, did_you_mean
from freehold.rows.reading import Container, Row, container_of, rows, size_bytes
from freehold.types.config import DataConfig
from freehold.types.dataset import SplitName

log = logging.getLogger(__name__)

__all__ = [
    "FORMATS",
    "IMPORTERS",
    "ImportSource",
    "Imported",
    "PassedOver",
    "RecordOutcome",
    "RejectedRecord",
    "check_fields",
    "find",
    "named",
    "read",
    "size_bytes",
    "sniff",
]

# The first that claims a record wins; what claims everything stands last.
IMPORTERS: tuple[Importer, ...] = (
    OPENTELEMETRY, tools.STORED, tools.HELICONE, tools.LITELLM, tools.LANGSMITH, tools.LANGFUSE,
    plain.PAIRS, plain.OPENAI, plain.COLUMNS,
)  # fmt: skip
FORMATS: tuple[str, ...] = ("auto", *(importer.name for importer in IMPORTERS))
_LOOKED_AT = 20
_DATA = (".jsonl", ".json", ".ndjson", ".csv", ".tsv", ".parquet", ".arrow")
_NOT_DATA = frozenset(
    {"dataset_dict.json", "dataset_info.json", "state.json", "dataset_infos.json", "config.json"}
)
_SPLITS: tuple[tuple[str, SplitName], ...] = (
    (r"test|eval|held[-_ ]?out", "held_out"),
    (r"validation|valid|val|dev", "validation"),
)


class Part(NamedTuple):
    """One file of a folder, and the split its name says it is (None: not said, or for training)."""

    path: Path
    split: SplitName | None


class ImportSource(NamedTuple):
    """A file and how it will be read. `mapping` says what of a trace comes from which field."""

    part: Part
    container: Container
    importer: Importer
    columns: Columns
    mapping: Mapping


def sniff(path: Path, data: DataConfig | None = None) -> ImportSource:
    """How a file (of a folder: the first of use) is read.

    Raises `InputError` when it cannot be read, is empty or is nothing freehold knows.
    """
    first: InputError | None = None
    for part in _parts(path):
        try:
            return _source(part, data or DataConfig())
        except InputError as error:  # of a folder, another file may be of use
            first = first or error
    raise first or InputError("no data file", path=str(path))


def _source(part: Part, data: DataConfig) -> ImportSource:
    container = container_of(part.path)
    looked = list(islice(rows(part.path, container), _LOOKED_AT))
    records = [row.value for row in looked if row.value is not None]
    importer = named(data.format)
    if importer is None:
        if not records:
            raise _nothing(part.path, looked)
        importer = find(records)
    names = tuple(dict.fromkeys(name for record in records for name in record))
    fixed = container in ("csv", "parquet", "arrow") and bool(records)
    if fixed:
        names = looked[0].header or names
    found = Columns(names, fixed)
    try:
        mapping = importer.start(data, found).mapping
    except InputError as error:
        raise InputError(error.message, path=str(part.path), hint=error.hint) from None
    return ImportSource(part, container, importer, found, mapping)


def check_fields(paths: Iterable[Path], data: DataConfig, named: DataConfig | None = None) -> None:
    """Of flat records, each field that `named` (default: `data`, by which they are read) names for the question and the
    answers stands in one of the files.

    A record may lack a field, and one file of several all of it; but a misspelt one would be read as absent, and the
    incumbent's answers be taught in the place of right ones. Raises `InputError` for a field that stands nowhere.
    """
    said = named or data
    left = [name for name in dict.fromkeys((said.input, said.label, said.incumbent)) if name is not None]
    sources = [source for path in paths for source in _sources(path, data)] if left else []
    if any(source.importer is not plain.COLUMNS for source in sources):
        return
    known = dict.fromkeys(name for source in sources for name in source.columns.names)
    left = [name for name in left if name not in known]
    for source in sources if left else ():
        for row in rows(source.part.path, source.container):
            left = [name for name in left if name not in (row.value or ())]
            if not left:
                return
    if left and known:  # else there is no record, which is another error
        raise InputError(
            f"no record has a field {left[0]!r}; fields are: {', '.join(known)}",
            path=", ".join(dict.fromkeys(str(source.part.path) for source in sources)),
            hint=did_you_mean(left[0], known, "name them in [data]: input, label and incumbent"),
        )


def _sources(path: Path, data: DataConfig) -> Iterator[ImportSource]:
    """The files of `path` that are of use: of a folder the others are passed over, as `read` does."""
    for part in _parts(path):
        try:
            yield _source(part, data)
        except InputError:
            if not path.is_dir():
                raise


def _nothing(path: Path, looked: list[Row]) -> InputError:
    """The error for a file without a readable record at its beginning."""
    if not looked:
        return InputError("no record in it", path=str(path), hint="it is empty, or holds only a header")
    first = looked[0]
    hint = "JSON lines, JSON, CSV, Parquet and Arrow are read, also as .gz and .zst"
    if b"\0" in _beginning(path):
        hint = f"it is a binary file, not a log written as text; {hint}"
    elif first.problem == "not valid UTF-8":
        hint = f"convert it: iconv -f ISO-8859-1 -t UTF-8 {path} > utf8{path.suffix or '.jsonl'}"
    return InputError(f"no record can be read: {first.problem}", path=str(path), line=first.line, hint=hint)


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4096)


def named(format: str) -> Importer | None:
    """The importer of a format; None for ``auto``. Raises `ConfigError` for a name that is not in `FORMATS`."""
    if format not in FORMATS:
        raise ConfigError(
            f"data.format is {format}, which is not a format",
            hint=did_you_mean(format, FORMATS, f"formats: {', '.join(FORMATS)}"),
        )
    return next((one for one in IMPORTERS if one.name == format), None)


def find(records: list[dict[str, Any]]) -> Importer:
    """The importer that claims most of the first records."""
    claimed = [next(one for one in IMPORTERS if one.claims(record)) for record in records]
    return max(dict.fromkeys(claimed), key=claimed.count)


def read(path: Path, data: DataConfig | None = None) -> Iterator[RecordOutcome]:
    """Read every record of a file or folder, in order.

    Raises `InputError` when a file itself cannot be read or lacks the columns `data` names; a bad record is
    yielded as a `RejectedRecord`, and so is such a file where others of its folder are of use.
    """
    data = data or DataConfig()
    if path.is_dir():
        sniff(path, data)
    for part in _parts(path):
        name = str(part.path.relative_to(path)) if path.is_dir() else None
        try:
            source = _source(part, data)
        except InputError as error:
            if name is None:
                raise
            log.info("%s: passed over: %s", part.path, error.message)
            reason = f"none of this file is read: {error.message.removeprefix(f'{part.path}: ')}"
            yield RejectedRecord(line=error.line or 1, reason=reason, text="", file=name)
            continue
        for found in _read(source, data):
            if name is None and part.split is None:
                yield found
            elif isinstance(found, Imported):
                metadata = found.metadata if part.split is None else {**found.metadata, "split": part.split}
                yield msgspec.structs.replace(found, file=name, metadata=metadata)
            elif isinstance(found, RejectedRecord):
                yield msgspec.structs.replace(found, file=name)
            else:
                yield found


def _read(source: ImportSource, data: DataConfig) -> Iterator[RecordOutcome]:
    plan = source.importer.start(data, source.columns)
    return plan.outcomes(rows(source.part.path, source.container))


def _parts(path: Path) -> Iterator[Part]:
    """The data files of `path`, which may be a file itself. Raises `InputError` when there are none."""
    if not path.is_dir():
        if path.exists() and not path.is_file():  # a pipe, a device without end
            raise InputError(
                "not a file: a log is read more than once", path=str(path), hint="write it to a file first"
            )
        yield Part(path, None)
        return
    found = [one for one in sorted(path.rglob("*")) if one.is_file() and _is_data(one)]
    found = [one for one in found if not any(part.startswith(".") for part in one.relative_to(path).parts)]
    states = {one.parent: _named(one) for one in path.rglob("state.json")}
    if states:  # what `save_to_disk` wrote lists its files, so that caches next to them are not read
        found = [one for one in found if one.parent not in states or one.name in states[one.parent]]
    if not found:
        raise InputError(
            "no data files in this folder",
            path=str(path),
            hint=f"looked for {', '.join(_DATA)}, also .gz and .zst",
        )
    for one in found:
        yield Part(one, _split(str(one.relative_to(path))))


def _is_data(path: Path) -> bool:
    name = path.name.lower().removesuffix(".gz").removesuffix(".zst")
    return name.endswith(_DATA) and name not in _NOT_DATA


def _named(state: Path) -> set[str]:
    try:
        listed = msgspec.json.decode(state.read_bytes()).get("_data_files") or ()
        return {str(one["filename"]) for one in listed}
    except (OSError, msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"not the state of a saved dataset: {error}", path=str(state)) from None


def _split(name: str) -> SplitName | None:
    for words, split in _SPLITS:
        if re.search(rf"(^|[-_/.\\ ])({words})([-_/.\\ ]|$)", name.lower()):
            return split
    return None
