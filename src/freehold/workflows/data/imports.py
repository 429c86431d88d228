"""`freehold import`: a file of logged traffic becomes traces in the store; what cannot be used is kept as rejects."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec

from freehold import files
from freehold.datasets import importing, messages
from freehold.datasets.importing import Imported, PassedOver, RejectedRecord
from freehold.datasets.importing.importer import holds, present
from freehold.datasets.tasks import is_selected
from freehold.progress import Progress
from freehold.store import audit, open_store
from freehold.store.traces import FileRow, bring_in
from freehold.types.config import DataConfig
from freehold.types.identity import question_id
from freehold.types.record import Record, canonical_json, content_id
from freehold.types.trace import Trace
from freehold.workflows.project import Project, now

log = logging.getLogger(__name__)

BATCH = 1000
LOOKED_AT = 20_000
"""Records of a file that a preview looks at: a minute or less."""
ANOTHER_TASK = "another task's request ([[data.match]])"
"""The reason for which a record is passed over."""
FIRST = 5
"""Rejected records that are shown."""
_MOST_REASONS = 20
_AT = re.compile(r"\[\d+\]")


class ImportResult(Record, frozen=True, kw_only=True):
    """What one import did. `new` counts traces that were not in the store before, `replaced` rows whose content is
    another than at the last import of the file, `gone` rows that the file does not hold any more.

    `mapping` says what of a trace comes from which field, `holds` how many records have what (tools, several turns,
    a right answer …), `passed_over` counts sound records that are not calls of a model, by reason.
    """

    file: str
    format: str
    read: int
    new: int
    replaced: int = 0
    gone: int = 0
    rejected: int
    rejects_file: str | None
    first_rejects: tuple[str, ...]
    container: str = ""
    mapping: dict[str, str] = {}
    holds: dict[str, int] = {}
    passed_over: dict[str, int] = {}
    stored: bool = True


class LogFile(NamedTuple):
    """A file of logged traffic, and whether all of it is kept for evaluation."""

    path: Path
    held_out: bool


class Preview(Record, frozen=True, kw_only=True):
    """How a file would be read: the format, the mapping, and the first records as they would be stored. `left_out` says
    how many of the first `LOOKED_AT` records are no traces, by reason."""

    file: str
    format: str
    container: str
    mapping: dict[str, str]
    first: tuple[Trace, ...]
    first_rejects: tuple[str, ...]
    left_out: dict[str, int] = {}


def preview_file(
    project: Project,
    path: Path,
    *,
    data: DataConfig | None = None,
    count: int = 3,
    held_out: bool = False,
) -> Preview:
    """The first `count` records of `path` as traces; nothing is stored. Raises `InputError`."""
    data = data or project.config.data
    source = importing.sniff(path, data)
    origin, at = source_of(project, path), now()
    held: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    first: list[Trace] = []
    rejects: list[RejectedRecord] = []
    for found in islice(importing.read(path, data), LOOKED_AT):
        if not isinstance(found, Imported):
            left_out[_AT.sub("[…]", found.reason)[:120]] += 1
            if isinstance(found, RejectedRecord) and len(rejects) < FIRST:
                rejects.append(found)
            continue
        found = _as_gold(found) if data.answers == "gold" else found
        trace = _trace(found, origin, at=at, held_out=held_out, model=_incumbent(project))
        if not is_selected(trace, data):
            left_out[ANOTHER_TASK] += 1
            continue
        held.update(holds(found))
        if len(first) < count:
            first.append(trace)
    return Preview(
        file=str(path),
        format=source.importer.name,
        container=source.container,
        mapping=present(source.mapping, held),
        first=tuple(first),
        first_rejects=tuple(_line(reject) for reject in rejects),
        left_out=dict(left_out.most_common(_MOST_REASONS)),
    )


def named_files(project: Project) -> tuple[LogFile, ...]:
    """The files that a project's `[data]` names."""
    data = project.config.data
    return (
        *(LogFile(project.path(name), False) for name in data.files),
        *(LogFile(project.path(name), True) for name in data.held_out_files),
    )


def file_traces(project: Project, files: Sequence[LogFile]) -> Iterator[Trace]:
    """What an import of `files` would store, file by file. Raises `InputError`."""
    data, at = project.config.data, now()
    for one in files:
        origin = source_of(project, one.path)
        for found in importing.read(one.path, data):
            if isinstance(found, Imported):
                found = _as_gold(found) if data.answers == "gold" else found
                yield _trace(found, origin, at=at, held_out=one.held_out, model=_incumbent(project))


def import_files(
    project: Project,
    files: Sequence[LogFile],
    *,
    data: DataConfig,
    named: DataConfig | None = None,
    progress: Progress,
) -> tuple[ImportResult, ...]:
    """`import_file` for each. The fields that `named` names stand in one of the files (`importing.check_fields`).

    Without `named` those of `data` but the incumbent's, whose answers may be missing as yet. Right answers that are not
    read would leave the incumbent's to be taught."""
    named = named or DataConfig(input=data.input, label=data.label)
    importing.check_fields((one.path for one in files), data, named)
    return tuple(
        import_file(project, one.path, data=data, held_out=one.held_out, progress=progress) for one in files
    )


def import_file(
    project: Project,
    path: Path,
    *,
    data: DataConfig | None = None,
    held_out: bool = False,
    progress: Progress,
) -> ImportResult:
    """Read `path` (a file or a folder) and make what the store holds of it the same, a batch at a time.

    Importing a file again replaces what changed: a row is known by its own id, else by its question within its
    conversation, whatever instructions stand around it. Rows that are gone from the file are left out from then on.
    With `held_out` all its traces are kept for evaluation. Raises `InputError` when the file cannot be read at all.
    """
    data = data or project.config.data
    size = importing.size_bytes(path)
    source = importing.sniff(path, data)
    progress.say(f"{path.name}: read as {source.importer.title}, {source.container}")
    log.info("importing %s, %d bytes, as %s", path, size, source.importer.name)
    held: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    read = 0
    origin, at, keys = source_of(project, path), now(), _RowKeys()
    rejects = _Rejects(project.state / "rejects" / f"{path.stem}.rejects.jsonl")
    with open_store(project.store_url) as store, rejects:

        def rows() -> Iterator[FileRow]:
            nonlocal read
            for found in importing.read(path, data):
                if isinstance(found, RejectedRecord):
                    rejects.add(found)
                elif isinstance(found, PassedOver):
                    passed[found.reason] += 1
                else:
                    read += 1
                    if read % BATCH == 0:
                        progress.update(
                            read, None, unit="records", note=f"of {_size(size)}, {rejects.count:,} rejected"
                        )
                    if data.answers == "gold":
                        found = _as_gold(found)
                    trace = _trace(found, origin, at=at, held_out=held_out, model=_incumbent(project))
                    if not is_selected(trace, data):
                        read -= 1
                        passed[ANOTHER_TASK] += 1
                        continue
                    held.update(holds(found))
                    yield FileRow(keys.key(found, origin), trace)

        # Before the first batch: an import that is stopped half-way is on record as well. No name of a file, which may
        # be a person's, in a record that only grows.
        told: dict[str, Any] = {"format": source.importer.name, "held_out": held_out}
        begun = audit.note(store.database, "import.begin", "traces", detail=told)
        done = bring_in(store.database, origin, rows(), at=at)
        told |= {"begun": begun.number, "new": done.new, "replaced": done.replaced, "gone": done.gone}
        told |= {"read": read, "rejected": rejects.count}
        audit.note(store.database, "import", "traces", detail=told)
    if done.gone > done.replaced + done.unchanged:
        progress.say(
            f"warning: {done.gone:,} of {done.gone + done.replaced + done.unchanged:,} rows of the earlier {path.name} "
            "are not in it any more, and are left out from now on. Is it another log under the same name? Import the "
            "earlier one under a name of its own, and its rows are back."
        )
    return ImportResult(
        file=str(path),
        format=source.importer.name,
        container=source.container,
        mapping=present(source.mapping, held),
        holds=dict(held.most_common()),
        passed_over=dict(passed.most_common()),
        read=read,
        new=done.new,
        replaced=done.replaced,
        gone=done.gone,
        rejected=rejects.count,
        rejects_file=str(rejects.path) if rejects.count else None,
        first_rejects=tuple(rejects.first),
    )


def _size(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size >= 1e6 else f"{size / 1e3:,.0f} kB"


def _incumbent(project: Project) -> str:
    return project.config.incumbent.model if project.config.incumbent else ""


def _as_gold(record: Imported) -> Imported:
    """The record with its answer as gold instead of as the incumbent's."""
    if record.gold is not None or record.response is None:
        return record
    message = messages.response_message(record.response)
    text = None if message is None else messages.message_text(message)
    return record if text is None else msgspec.structs.replace(record, gold=text, response=None)


def _line(reject: RejectedRecord) -> str:
    where = f"{reject.file}, " if reject.file else ""
    return f"{where}line {reject.line}: {reject.reason}"


def source_of(project: Project, path: Path) -> str:
    """How traces of a file or folder name it: by its path from the project, so that both can be moved together.

    A link counts by its own name, not by what it points to.
    """
    named = Path(os.path.abspath(path))  # noqa: PTH100 (Path.resolve would follow the link)
    return f"import:{Path(os.path.relpath(named.parent.resolve() / named.name, project.root.resolve())).as_posix()}"


class _RowKeys:
    """Names the rows of one file so that a changed row keeps its name. About 100 bytes of memory a row."""

    def __init__(self) -> None:
        self._met: Counter[bytes] = Counter()

    def key(self, record: Imported, origin: str) -> str:
        """From the row's own id, else from its question within its conversation; of several alike, which one it is."""
        row = record.id if record.id is not None else question_id(record.request["messages"])
        name = [origin, record.file, record.id is not None, row, record.conversation_id]
        short = hashlib.blake2b(canonical_json(name), digest_size=8).digest()
        self._met[short] += 1
        return content_id([name, self._met[short]])


def _trace(record: Imported, origin: str, *, at: datetime, held_out: bool, model: str) -> Trace:
    metadata = {**record.metadata, "split": "held_out"} if held_out else record.metadata
    identity: list[Any] = [
        record.id, record.request, record.response, record.gold, record.conversation_id, metadata
    ]  # fmt: skip
    identity += [told for told in (record.at, record.desirable) if told is not None]
    choices = (record.response or {}).get("choices") or [{}]
    inside = f"/{record.file}" if record.file else ""
    return Trace(
        id=content_id(identity),
        at=record.at or at,
        imported_at=at,
        source=f"{origin}{inside}#{record.line}",
        model=record.request.get("model") or model,
        request=record.request,
        response=record.response,
        finish_reason=choices[0].get("finish_reason"),
        conversation_id=record.conversation_id,
        user=record.user,
        usage=record.usage,
        total_ms=record.total_ms,
        gold=record.gold,
        metadata=metadata,
        desirable=record.desirable,
    )


class _Rejects:
    """Rejects go to their file one by one, so that any number of them takes no memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self.first: list[str] = []
        self._file: IO[bytes] | None = None

    def __enter__(self) -> _Rejects:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
        else:
            self.path.unlink(missing_ok=True)

    def add(self, reject: RejectedRecord) -> None:
        """Keep one. Raises `StorageError` when the disk refuses."""
        self.count += 1
        if len(self.first) < FIRST:
            self.first.append(_line(reject))
        with files.writing(
            f"{self.path}: rejects cannot be written",
            hint="free some space and import again: what is in the store already is not added twice",
        ):
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self.path.open("wb")
            self._file.write(msgspec.json.encode(reject) + b"\n")
