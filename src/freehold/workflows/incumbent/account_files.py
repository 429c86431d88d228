"""What an OpenAI account holds besides its models, copied: files, jobs with their events and checkpoints, stored
completions, evals. Only read, and free of charge.

Source of the shapes: OpenAI's API reference (developers.openai.com, read 2026-11): ``/files``, ``/fine_tuning/jobs``
with ``/events`` and ``/checkpoints``, ``/chat/completions`` with ``/messages``, ``/evals`` with ``/runs`` and
``/output_items``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from freehold import files
from freehold.types.progress import Progress
from freehold.workflows.incumbent.fine_tunes import Account, AccountError

PURPOSES = frozenset({"fine-tune", "fine-tune-results", "evals", "batch", "batch_output"})
"""Files worth having: what was taught, how it went, what was answered. Others (pictures, assistants) are left."""
_FULL = "free some space, then run it again: what was copied is not fetched again"
_ABSENT = frozenset({400, 403, 404, 405, 410, 501})


class AccountCopy:
    """The copy in `folder`. What is there is not fetched again, except lists that may have grown.

    `lacks` says what was not to be had and why. Methods raise `AccountError` where the key is refused or the API is
    down, and `StorageError` where the disk refuses.
    """

    def __init__(self, account: Account, folder: Path, progress: Progress) -> None:
        self._account, self._folder, self._progress = account, folder, progress
        self.lacks: list[str] = []

    def take(self) -> None:
        """Copy everything."""
        jobs = self._list("jobs.jsonl", "fine-tuning jobs", "/fine_tuning/jobs")
        for job in jobs:
            id = str(job.get("id", ""))
            for what in ("events", "checkpoints"):
                self._list(
                    f"jobs/{_safe(id)}.{what}.jsonl",
                    f"{what} of {id}",
                    f"/fine_tuning/jobs/{quote(id)}/{what}",
                )
        listed = self._list("files.jsonl", "files", "/files")
        self._contents(jobs, listed)
        self._completions()
        for one in self._list("evals.jsonl", "evals", "/evals"):
            self._eval(str(one.get("id", "")))

    def _contents(self, jobs: list[dict[str, Any]], listed: list[dict[str, Any]]) -> None:
        wanted = {
            str(one["id"]): str(one.get("filename", "")) for one in listed if one.get("purpose") in PURPOSES
        }
        for job in jobs:
            named = [job.get("training_file"), job.get("validation_file"), *(job.get("result_files") or [])]
            wanted |= {id: wanted.get(id, "") for id in named if isinstance(id, str) and id}
        for done, (id, name) in enumerate(sorted(wanted.items()), 1):
            path = self._folder / "files" / _safe(f"{id}-{name}" if name else id)
            if not path.exists():
                self._or_lack(f"file {id}", lambda id=id, path=path: self._account.download(id, path))  # type: ignore[misc]
                if path.exists():
                    path.chmod(0o600)
            self._progress.update(done, len(wanted), unit="files")

    def _completions(self) -> None:
        """Stored completions with their messages, as `freehold import` reads them."""
        path = self._folder / "stored_completions.jsonl"
        kept = {str(one.get("completion", {}).get("id")): one for one in _lines(path)}

        def found() -> Iterator[dict[str, Any]]:
            for number, one in enumerate(self._account.pages("/chat/completions", order="asc"), 1):
                id = str(one.get("id", ""))
                self._progress.update(number, None, unit="stored completions")
                if id not in kept:
                    messages = list(
                        self._account.pages(f"/chat/completions/{quote(id)}/messages", order="asc")
                    )
                    kept[id] = {"completion": one, "messages": messages}
                yield kept[id]

        self._or_lack("stored completions", lambda: list(found()))
        if kept:
            self._write(path, list(kept.values()))

    def _eval(self, id: str) -> None:
        runs = self._list(f"evals/{_safe(id)}.runs.jsonl", f"runs of {id}", f"/evals/{quote(id)}/runs")
        for run in runs:
            run_id = str(run.get("id", ""))
            self._list(
                f"evals/{_safe(id)}.{_safe(run_id)}.items.jsonl",
                f"items of {run_id}",
                f"/evals/{quote(id)}/runs/{quote(run_id)}/output_items",
            )

    def _list(self, name: str, what: str, path: str) -> list[dict[str, Any]]:
        """A list of the API as a file; where it is not to be had, what an earlier run copied."""
        found: list[dict[str, Any]] | None = self._or_lack(what, lambda: list(self._account.pages(path)))
        file = self._folder / name
        if found is None:
            return _lines(file)
        if found:
            self._write(file, found)
        return found

    def _or_lack(self, what: str, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except AccountError as error:
            if error.status not in _ABSENT:
                raise
            self.lacks.append(f"{what}: the API answered {error.status}")
            return None

    def _write(self, path: Path, entries: list[dict[str, Any]]) -> None:
        with files.writing(f"{path}: cannot be written", hint=_FULL):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            files.write(
                path,
                b"".join(msgspec.json.encode(one) + b"\n" for one in entries),
                private=True,
                durable=True,
            )


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    with files.reading(path):
        return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def _safe(name: str) -> str:
    """A name of the API's as a file's name: no folder, no surprise."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".")[:150] or "unnamed"
