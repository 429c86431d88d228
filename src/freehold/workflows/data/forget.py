"""`freehold forget`: one person's requests leave the store and every file that was made from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from freehold import files
from freehold.errors import StorageError, UsageError
from freehold.gateway.capture.spool import await_written, in_flight, of_other_stores
from freehold.preparing.index import EXAMPLES
from freehold.progress import Progress
from freehold.store import Store, audit, look_ledger, open_store
from freehold.store.database import file_url
from freehold.store.erase import erase_mentions, erase_traces, expect_scrub, scrub, scrub_is_due
from freehold.store.index import users_of
from freehold.store.look_ledger import LedgerLine
from freehold.types.audit import Change
from freehold.types.dataset import Dataset
from freehold.types.generation import FOLDER
from freehold.types.record import Record, StoredRecord, event_id
from freehold.types.trace import Trace
from freehold.types.training import Adapter
from freehold.workflows.data.forget_files import (
    Finder,
    all_files,
    clean,
    content,
    is_answer_cache,
    is_sqlite,
    remove_folder,
)
from freehold.workflows.project import Project

SPOOL = "spool"
"""The folder, in the state folder, of what gateways have answered and the store does not have yet."""
IN_FLIGHT_WITHIN_S = 30.0
SHORTEST_TEXT = 16
"""Shorter texts ("yes", a label) say nothing about who wrote them, and stand in the files of others."""


class Whom(Record, frozen=True, kw_only=True):
    """Whose or which traces are meant: one user's, one trace, one conversation, or all of `source` (a file
    or folder that was imported, or ``gateway``), or all `before` a time."""

    user: str | None = None
    trace: str | None = None
    conversation: str | None = None
    before: datetime | None = None
    source: str | None = None

    @property
    def by(self) -> str:
        names = ("user", "trace", "conversation", "source", "before")
        return ", ".join(name for name in names if getattr(self, name))

    @property
    def many(self) -> bool:
        """Whether traces are meant by what they have in common, and not because of whom they tell."""
        return self.before is not None or self.source is not None

    def means(self, trace: Trace) -> bool:
        """Whether a trace is one of those. A user may stand in the request, its metadata or a header."""
        if self.many:
            return (self.before is None or trace.at < self.before) and (
                self.source is None or _is_from(trace, self.source)
            )
        if self.trace is not None:
            return trace.id == self.trace or trace.parent_id == self.trace
        if self.conversation is not None:
            return trace.conversation_id == self.conversation
        return self.user in users_of(trace)


def _is_from(trace: Trace, source: str) -> bool:
    named = trace.source.partition("#")[0]
    wanted = source if source == "gateway" or source.startswith("import:") else f"import:{source}"
    return named == wanted or named.startswith(f"{wanted.rstrip('/')}/")


class ForgetReceipt(StoredRecord, frozen=True, kw_only=True):
    """That something was forgotten: when, by whom, how much. Nothing in it says who was."""

    kind: ClassVar[str] = "forget_receipt"

    id: str
    at: datetime
    who: str
    by: str
    traces: int
    records: dict[str, int] = {}
    files: dict[str, int] = {}
    datasets: tuple[str, ...] = ()
    trained: tuple[str, ...] = ()
    """Adapters that learned from a dataset that held it: they cannot unlearn, and must be trained again."""
    notes: tuple[str, ...] = ()


@dataclass
class _Found:
    """What the traces in question hold that may stand elsewhere as well."""

    ids: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)


def forget(
    project: Project, whom: Whom, *, who: str, at: datetime, dry_run: bool, progress: Progress
) -> ForgetReceipt:
    """Delete what is meant from the store and the project's folders, and keep a receipt.

    With `dry_run` nothing changes and no receipt is kept. What a running gateway has answered and not yet written is
    waited for. Raises `UsageError` where no trace is meant and no file mentions it, `StorageError` for a file or store
    that cannot be changed, and for traces that stay on their way; running it again goes on.
    """
    spool_notes = _await_spool(project, dry_run=dry_run, progress=progress)
    progress.step("look for traces")
    folders = _folders(project)
    with open_store(project.store_url) as store:
        found = _find(store, whom, progress)
        known = {dataset.id: dataset for dataset in store.records(Dataset)}
        trained: list[Adapter] = store.records(Adapter)
        making = project.state.resolve() / FOLDER
        places = _files_of(project, folders, making, store.database.file)
        finder, datasets = _with_samples(found, known.values())
        indexes = _indexes(folders, finder)
        places = [path for path in places if path.parent not in indexes]
        progress.step("forget", note=f"{len(found.ids):,} traces")
        work = _Work(finder, found.ids, dry_run=dry_run)
        id = event_id(int(at.timestamp() * 1000))
        if not dry_run:
            # Before anything is gone: one that is stopped half-way is on record as well.
            audit.note(store.database, "forget.begin", id, who=who, at=at, detail={"by": whom.by})
        unfinished = scrub_is_due(store.database)
        if found.ids and not dry_run:
            expect_scrub(store.database)
        lost = {one.id for one in known.values() if Path(one.path) in datasets}
        # Files first: what stands in them is known from the traces, so a run that is stopped can be repeated.
        work.looks(store.database.where, lost, known)
        for folder in datasets:
            work.folder(folder, "datasets")
        for folder in indexes:
            work.folder(folder, "examples")
        if found.ids and making.is_dir():  # a generation under way is begun again
            work.folder(making, "generations under way")
        for path in places:
            work.file(path, caches=bool(datasets))
        work.in_store(store, lost)
        adapters = [one for one in trained if one.dataset_id in lost]
        if not (work.traces or work.records or work.files or unfinished):
            raise UsageError(
                f"nothing here is of that {whom.by}",
                hint="freehold traces list --json shows what traces hold",
            )
        receipt = ForgetReceipt(
            id=id,
            at=at,
            who=who,
            by=whom.by,
            traces=work.traces,
            records=dict(work.records),
            files=dict(work.files),
            datasets=tuple(sorted(lost)),
            trained=tuple(one.id for one in adapters),
            notes=(
                *work.notes,
                *spool_notes,
                *_left(unfinished),
                *_advice(lost, adapters, examples=bool(indexes)),
            ),
        )
        if not dry_run:
            keep_receipt(store, receipt)
            if not scrub(store.database):
                raise StorageError(
                    "the rows are deleted, and a reader keeps their bytes in SQLite's log",
                    hint="run the same command again in a moment, or after freehold down",
                )
    return receipt


def _files_of(project: Project, folders: Sequence[Path], making: Path, own: Path | None) -> list[Path]:
    """Files that are looked through one by one."""
    # A spool is its worker's: what was on its way there is written and overwritten by now. Nor is the store a copy of
    # itself, under whatever name: SQLite must not have one file open by two.
    apart = {project.state.resolve() / SPOOL, making}
    return [path for path in all_files(folders) if not apart & set(path.parents) and not _is_same(path, own)]


def _is_same(path: Path, other: Path | None) -> bool:
    return other is not None and path.exists() and other.exists() and path.samefile(other)


def _await_spool(project: Project, *, dry_run: bool, progress: Progress) -> list[str]:
    """Wait until nothing that was answered before is still on its way: it would be written after the deletion.

    Returns what a person should know. Raises `StorageError` when something stays on its way.
    """
    folder, url = project.state / SPOOL, project.store_url
    with files.writing(f"{folder}: cannot be looked through"):
        others = of_other_stores(folder, url)
        if dry_run:
            left = len(in_flight(folder, url))
            notes = [f"{left:,} traces are on their way into the store and not looked at yet"] if left else []
        else:
            progress.step("wait for traces on their way")
            left = await_written(
                folder,
                url,
                within_s=IN_FLIGHT_WITHIN_S,
                tell=lambda n: progress.update(n, None, unit="traces"),
            )
            if left:
                raise StorageError(
                    f"nothing was deleted: {left:,} traces in {folder} are not in the store yet, and may be meant",
                    hint="freehold up writes them; then run the same command again",
                )
            notes = []
    if others:
        notes.append(f"{others:,} traces in {folder} are of another store: delete them by hand")
    return notes


def keep_receipt(store: Store, receipt: ForgetReceipt) -> None:
    """The one place where a deletion that was asked for is put on record."""
    detail = {
        "by": receipt.by,
        "traces": receipt.traces,
        "files": receipt.files,
        "records": receipt.records,
    }
    store.put(receipt, change=Change(action="forget", who=receipt.who, at=receipt.at, detail=detail))


def _left(unfinished: bool) -> list[str]:
    return ["an earlier deletion had left bytes of its rows in the store's files"] if unfinished else []


def _advice(lost: set[str], adapters: list[Adapter], *, examples: bool) -> Iterator[str]:
    if lost:
        yield f"{len(lost)} datasets held it and are gone: freehold dataset build makes one without it"
    for one in adapters:
        yield (
            f"the adapter {one.id[:12]} has learned from it and cannot unlearn: freehold train trains another, then "
            f"freehold models rm {one.id[:12]}"
        )
    if examples:
        yield (
            "a model was asked with examples that held it: they are gone, and it is not asked any more until freehold "
            "migrate makes others"
        )
    yield "copies outside the project's folders (exports, backups elsewhere) are not known here: delete them by hand"


def _folders(project: Project) -> list[Path]:
    both = {project.state.resolve(), (project.root / ".freehold").resolve()}
    return [folder for folder in sorted(both) if folder.is_dir()]


def _find(store: Store, whom: Whom, progress: Progress) -> _Found:
    found = _Found(names={name for name in (whom.user, whom.trace, whom.conversation) if name})
    meant: set[str] = set()
    for count, trace in enumerate(_looked_through(store, whom)):
        if count % 1000 == 0:
            progress.update(count, None, unit="traces")
        if whom.means(trace) or trace.parent_id in found.ids:
            found.ids.add(trace.id)
            if not whom.many:
                meant.update(_texts(trace))
            if whom.user is not None:
                found.names.update(n for n in (trace.conversation_id, trace.assignment_key) if n)
    if meant:
        for trace in store.traces(complete_only=False, replaced=True):
            if trace.id not in found.ids:
                meant.difference_update(_texts(trace))
    found.texts = meant
    return found


def _looked_through(store: Store, whom: Whom) -> Iterator[Trace]:
    """Traces among which are all that are meant, each before what was mirrored from it; found by the index where one
    person or one trace is."""
    if whom.many:
        yield from store.traces(complete_only=False, replaced=True)
        return
    if whom.trace is not None:
        near = [one for one in (store.get_trace(whom.trace),) if one is not None]
        near += store.traces_near(f"p{whom.trace}")
    else:
        near = store.traces_near(f"u{whom.user}" if whom.conversation is None else f"c{whom.conversation}")
    yield from near
    for one in near:
        if whom.means(one):
            yield from store.traces_near(f"p{one.id}")


def _texts(trace: Trace) -> Iterator[str]:
    """What was said in a trace, besides the instructions that all share."""
    messages = [m for m in trace.request.get("messages") or () if isinstance(m, dict)]
    messages = [m for m in messages if m.get("role") not in ("system", "developer")]
    feedback = trace.metadata.get("feedback")
    for value in (messages, trace.response, trace.gold, feedback):
        yield from (text for text in _strings(value) if len(text) >= SHORTEST_TEXT)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _strings(one)


def _with_samples(found: _Found, datasets: Any) -> tuple[Finder, list[Path]]:
    """A finder that knows the samples made from the traces too, and the folders of the datasets they are in."""
    first = Finder(found.ids | found.names, found.texts)
    ids: set[str] = set()
    folders = []
    for dataset in datasets:
        folder, holds = Path(dataset.path), False
        for file in sorted(folder.glob("*")) if folder.is_dir() else ():
            if not file.is_file():
                continue
            for line in content(file).splitlines():
                if first(line):
                    holds = True
                    ids.update(_sample_id(line))
        if holds:
            folders.append(folder)
    return Finder(found.ids | found.names | ids, found.texts), folders


def _indexes(folders: list[Path], finder: Finder) -> list[Path]:
    """The folders of examples that mention it. Beside the texts they may hold vectors made of them."""
    found = [path for folder in folders for path in sorted(folder.glob(f"examples/*/{EXAMPLES}"))]
    return [path.parent for path in found if finder(content(path))]


def _sample_id(line: bytes) -> Iterator[str]:
    try:
        sample = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    if isinstance(sample, dict) and "trace_id" in sample and isinstance(sample.get("id"), str):
        yield sample["id"]


class _Work:
    """Deletes, or with `dry_run` counts what would be."""

    def __init__(self, finder: Finder, ids: set[str], *, dry_run: bool) -> None:
        self._finder, self._ids, self._dry_run = finder, ids, dry_run
        self.traces = 0
        self.records: Counter[str] = Counter()
        self.files: Counter[str] = Counter()
        self.notes: list[str] = []

    def in_store(self, store: Store, datasets: set[str]) -> None:
        """Traces, records and scores; the records of datasets go with their folders, and steps that made them run
        again."""
        self.records += erase_mentions(
            store.database, self._finder, steps=Finder(datasets, ()), dry_run=self._dry_run
        )
        for id in datasets:
            self.records["dataset"] += self._dry_run or store.delete(Dataset, id)
        self.traces += erase_traces(store.database, sorted(self._ids), dry_run=self._dry_run)

    def looks(self, store: str, lost: Collection[str], known: Collection[str]) -> None:
        """What the user's ledger holds of a lost dataset, and of what this store looked at and no longer has."""

        def reached(line: LedgerLine) -> bool:
            own = bool(self._ids) and line.store == store and line.dataset not in known
            return line.dataset in lost or own

        if gone := look_ledger.cut(reached, dry_run=self._dry_run):
            self.files["looks cut to counts"] += gone

    def folder(self, folder: Path, what: str) -> None:
        """A dataset, or an index of examples, is named by its content: it goes whole."""
        self.files[what] += 1
        if not self._dry_run:
            with files.writing(f"{folder}: cannot be removed"):
                remove_folder(folder, lambda path: None)

    def file(self, path: Path, *, caches: bool) -> None:
        """One file: a store of its own (a backup), or text."""
        if not path.exists() or path.name.endswith(("-wal", "-shm")):
            return
        with files.writing(f"{path}: cannot be changed"):
            if is_sqlite(path):
                self._copy_of_store(path)
            elif caches and is_answer_cache(path):
                self.files["answer caches"] += 1
                if not self._dry_run:
                    path.unlink()
            elif self._finder(content(path)):
                done = "removed" if self._dry_run else clean(path, self._finder)
                self.files["changed" if done != "removed" else "removed"] += 1

    def _copy_of_store(self, path: Path) -> None:
        try:
            with open_store(file_url(path)) as copy:
                ids = [
                    t.id
                    for t in copy.traces(complete_only=False, replaced=True)
                    if t.id in self._ids or t.parent_id in self._ids or self._finder(msgspec.json.encode(t))
                ]
                gone = erase_traces(copy.database, ids, dry_run=self._dry_run)
                others = erase_mentions(copy.database, self._finder, dry_run=self._dry_run)
                if gone or others:
                    self.files["backups"] += 1
                if not self._dry_run:
                    scrub(copy.database)
        except StorageError as error:
            self.notes.append(f"{path} cannot be read and may hold it: delete it by hand ({error.message})")
