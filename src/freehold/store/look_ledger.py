"""A user's looks in whatever folder, in one file beside all stores: told, never counted.

A store counts the looks it knows. A new folder with the same log knows none, and would call its look the first. So each
look leaves a line with the user as well, and what the user's lines know and the store does not is told. That forbids
nothing: of another machine nothing is known here.

A line holds no word and no id of an item. It holds a bottom-k sketch (Cohen and Kaplan, "Summarizing data using
bottom-k sketches", 2007): the `SKETCH` smallest of the items' hashes under the user's random key, each with one of the
item together with its right answer. The items of a later look whose hashes are no larger are drawn from it by chance;
the part of them that stands in the sketch estimates the share that was looked at before. It is exact where the earlier
look was no larger than the sketch, else within 1 / √drawn at 95 %: 6 points for two looks of one size.

Each line holds the hash of the one before, so a report's page, which carries the last, shows later whether lines were
taken out or changed. The hash leaves the sketch out: `forget` cuts that and keeps the counts.

Covered: several processes at once; a kill while a line is written, which costs that line. Not covered: earlier looks so
much larger that no item of the later one is drawn; lines before the last `READ_BYTES`.
"""

from __future__ import annotations

import os
import secrets
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from struct import Struct

import msgspec

from freehold import files, settings
from freehold.types.evaluated import ItemLook
from freehold.types.evaluation import KnownLooks
from freehold.types.record import Record, content_id

SKETCH = 256
LEAST_SHARE = 0.2
"""Share of a look's items that an earlier one must have had to be told."""
READ_BYTES = 16 << 20
"""About 3,500 lines."""
_FILE, _HEAD, _KEY_BYTES, _PAIR = "looks.jsonl", 12, 32, Struct(">QI")
_WAIT_S = 5.0


class LedgerLine(Record, frozen=True, kw_only=True):
    """One look: the `number`-th of this user, by which evaluation in which store. `sketch` are the smallest hashes of
    its items in order, 8 bytes each, and behind each 4 of item and right answer (zeros: none)."""

    number: int
    look: str
    at: datetime
    store: str
    dataset: str
    candidate: str
    items: int
    before: str
    sketch: bytes = b""

    def counts(self) -> LedgerLine:
        """The line without its sketch."""
        return msgspec.structs.replace(self, sketch=b"")

    def hash(self) -> str:
        """What the next line holds of this one."""
        return content_id(self.counts())


def folder() -> Path:
    """Where the ledger and its key lie: under FREEHOLD_HOME where that is set, else where the user's programs keep
    state, since caches are emptied."""
    import platformdirs

    home = settings.load().home
    if home == settings.default_home():
        home = Path(platformdirs.user_state_dir("freehold", appauthor=False))
    return home / "looks"


def tell(look: ItemLook, known: Iterable[ItemLook], *, keep_for: str | None = None) -> KnownLooks:
    """What is known of looks before one. `known` are those of its store, which counts them itself. With the place of
    that store, `keep_for`, the look is kept, once; without it nothing is written.

    A ledger that cannot be read or written stops nothing: then `KnownLooks.trouble` says why.
    """
    place = folder()
    try:
        if keep_for is None and not (place / _FILE).exists():
            return KnownLooks()
        with _held(place) as key:
            lines, trouble = _read(place / _FILE, READ_BYTES)
            hashes = _hashes(look, key)
            found = _overlaps([one for one in lines if one.at < look.at], hashes, known)
            last = next((one for one in lines if (one.look, one.at) == (look.id, look.at)), None)
            if keep_for is not None and last is None:
                smallest = sorted(hashes.items())[:SKETCH]
                last = LedgerLine(
                    number=lines[-1].number + 1 if lines else 1,
                    look=look.id,
                    at=look.at,
                    store=keep_for,
                    dataset=look.dataset_id,
                    candidate=look.candidate,
                    items=len(hashes),
                    before=lines[-1].hash() if lines else "",
                    sketch=b"".join(_PAIR.pack(*pair) for pair in smallest),
                )
                _append(place / _FILE, msgspec.json.encode(last))
            last = last or (lines[-1] if lines else None)
    except OSError as error:
        return KnownLooks(
            trouble=f"the user's file of evaluations cannot be used ({error.strerror or error})"
        )
    looks, head = (0, "") if last is None else (last.number, last.hash()[:_HEAD])
    return msgspec.structs.replace(found, looks=looks, head=head, trouble=trouble)


def cut(reached: Callable[[LedgerLine], bool], *, dry_run: bool = False) -> int:
    """Leave the counts of the looks that are `reached`, and nothing else. Returns how many had more. Raises
    `StorageError`."""
    path = folder() / _FILE
    with files.writing(f"{path}: cannot be changed"):
        if not path.exists():
            return 0
        with _held(path.parent):
            lines, _ = _read(path, path.stat().st_size)
            kept = [one.counts() if one.sketch and reached(one) else one for one in lines]
            gone = sum(one is not line for one, line in zip(kept, lines, strict=True))
            if gone and not dry_run:
                content = b"".join(b"\n" + msgspec.json.encode(one) for one in kept)
                files.write(path, content, private=True, durable=True)
    return gone


@contextmanager
def _held(place: Path) -> Iterator[bytes]:
    """The user's key, while no other process reads or writes the ledger. Raises `OSError`."""
    import filelock

    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    with filelock.FileLock(place / "lock", timeout=_WAIT_S, mode=0o600):  # its `Timeout` is an `OSError`
        path = place / "key"
        if not path.exists():
            files.write(path, secrets.token_bytes(_KEY_BYTES), private=True, durable=True)
        yield path.read_bytes()


def _read(path: Path, most: int) -> tuple[list[LedgerLine], str | None]:
    """The lines in the last `most` bytes, and what is wrong with them. Torn ones are left out."""
    lines: list[LedgerLine] = []
    trouble = None
    if not path.exists():
        return lines, trouble
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - most))
        for text in file.read(most).split(b"\n"):
            try:
                line = msgspec.json.decode(text, type=LedgerLine)
            except msgspec.MsgspecError:
                continue
            if lines and line.before != lines[-1].hash():
                trouble = f"lines before that of {line.at:%Y-%m-%d %H:%M} were taken out of the user's file, or changed"
            lines.append(line)
    return lines, trouble


def _append(path: Path, text: bytes) -> None:
    """One write, which begins a line: what was torn before it stays by itself."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        if os.write(file, b"\n" + text) <= len(text):
            raise OSError("the disk took a part of a line")
    finally:
        os.close(file)


def _hashes(look: ItemLook, key: bytes) -> dict[int, int]:
    """Of each item under the key: its hash, and one with its right answer (0: none)."""
    found: dict[int, int] = {}
    for place in range(0, len(look.items), 8):
        item, gold = look.items[place : place + 8], look.golds[place : place + 8]
        right = blake2b(item + gold, key=key, digest_size=4).digest() if any(gold) else b""
        hashed = int.from_bytes(blake2b(item, key=key, digest_size=8).digest(), "big")
        found.setdefault(hashed, int.from_bytes(right, "big"))
    return found


def _overlaps(lines: Iterable[LedgerLine], hashes: dict[int, int], known: Iterable[ItemLook]) -> KnownLooks:
    """Which of the earlier looks were at these items, and which of those the store does not know."""
    here, ordered = {(one.id, one.at) for one in known}, sorted(hashes)
    elsewhere: list[tuple[float, float, datetime]] = []
    relabelled = 0
    for line in lines:
        pairs = line.sketch[: len(line.sketch) // _PAIR.size * _PAIR.size]
        sketch = dict(_PAIR.iter_unpack(pairs))
        whole = line.items <= len(sketch)
        drawn = len(ordered) if whole else bisect_right(ordered, max(sketch, default=0))
        rights = [(right, hashes[item]) for item, right in sketch.items() if item in hashes]
        if not rights or len(rights) < LEAST_SHARE * drawn:
            continue
        relabelled += 2 * sum(one != other for one, other in rights if one and other) > len(rights)
        if (line.look, line.at) not in here:
            elsewhere.append((len(rights) / drawn, 0.0 if whole else drawn**-0.5, line.at))
    share, error, _ = max(elsewhere, default=(0.0, 0.0, None))
    return KnownLooks(
        elsewhere=len(elsewhere),
        relabelled=relabelled,
        share=share,
        error=error,
        first_at=min((at for *_, at in elsewhere), default=None),
    )
