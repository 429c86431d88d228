"""`freehold import`: a file of logged traffic becomes traces in the store; what cannot be used is kept as rejects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from freehold.datasets import reading, sampling
from freehold.datasets.reading import Imported, Reject
from freehold.errors import StorageError
from freehold.store import open_store
from freehold.types.config import DataConfig
from freehold.types.progress import Progress
from freehold.types.record import Record, content_id
from freehold.types.trace import Trace
from freehold.workflows.project import Project, now

BATCH = 1000


class ImportResult(Record, frozen=True, kw_only=True):
    """What one import did. `new` counts traces that were not in the store before."""

    file: str
    format: str
    read: int
    new: int
    rejected: int
    rejects_file: str | None
    first_rejects: tuple[str, ...]


def import_file(
    project: Project,
    path: Path,
    *,
    data: DataConfig | None = None,
    held_out: bool = False,
    progress: Progress,
) -> ImportResult:
    """Read `path` and add its records to the store as traces, a batch at a time.

    The id of a trace is the content id of what it holds, so importing a file twice adds nothing. With `held_out`
    its traces are kept for evaluation whole. Raises `InputError` when the file cannot be read at all.
    """
    data = data or project.config.data
    kind = reading.sniff(path) if data.format == "auto" else data.format
    data = msgspec.structs.replace(data, format=kind)
    size = reading.size_bytes(path)
    rejects_path = project.state / "rejects" / f"{path.stem}.rejects.jsonl"
    rejects: list[Reject] = []
    read = new = 0
    with open_store(project.store_url) as store:

        def traces() -> Iterator[Trace]:
            nonlocal read
            for record in reading.read(path, data):
                if isinstance(record, Reject):
                    rejects.append(record)
                    continue
                read += 1
                if read % BATCH == 0:
                    progress.update(read, None, unit="records", note=f"of a {size / 1e6:,.0f} MB file")
                if data.answers == "gold":
                    record = _as_gold(record)
                yield _trace(record, path, held_out=held_out, model=_incumbent(project))

        new = store.add_traces(traces())
    if rejects:
        _write_rejects(rejects_path, rejects)
    else:
        rejects_path.unlink(missing_ok=True)
    return ImportResult(
        file=str(path),
        format=kind,
        read=read,
        new=new,
        rejected=len(rejects),
        rejects_file=str(rejects_path) if rejects else None,
        first_rejects=tuple(f"line {reject.line}: {reject.reason}" for reject in rejects[:5]),
    )


def _incumbent(project: Project) -> str:
    return project.config.incumbent.model if project.config.incumbent else ""


def _as_gold(record: Imported) -> Imported:
    """The record with its answer as what is right instead of what the incumbent said."""
    if record.gold is not None or record.response is None:
        return record
    message = sampling.response_message(record.response)
    said = None if message is None else sampling.message_text(message)
    return record if said is None else msgspec.structs.replace(record, gold=said, response=None)


def _trace(record: Imported, path: Path, *, held_out: bool, model: str) -> Trace:
    metadata = {**record.metadata, "split": "held_out"} if held_out else record.metadata
    identity = content_id(
        [record.id, record.request, record.response, record.gold, record.conversation_id, metadata]
    )
    choices = (record.response or {}).get("choices") or [{}]
    return Trace(
        id=identity,
        at=now(),
        source=f"import:{path.name}#{record.line}",
        model=record.request.get("model") or model,
        request=record.request,
        response=record.response,
        finish_reason=choices[0].get("finish_reason"),
        conversation_id=record.conversation_id,
        user=record.user,
        gold=record.gold,
        metadata=metadata,
    )


def _write_rejects(path: Path, rejects: list[Reject]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(msgspec.json.encode(reject) + b"\n" for reject in rejects))
    except OSError as error:
        raise StorageError(
            f"{path}: rejects cannot be written: {error.strerror}",
            hint="the good records are in the store; free some space and import again to get the rejects",
        ) from None
