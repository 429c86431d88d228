"""Whether keys are required: a fact of the project, kept in a small file outside the store.

Were it only in the store, a store that is lost, emptied or replaced would open the gateway to everybody. The file is
written before the first key is stored, and by every gateway that sees keys in its store. It also says which store held
the keys and how many changes of keys that store had seen, so that another store or an older copy is refused rather
than believed: in an older copy a revoked key may be good.
"""

from __future__ import annotations

import contextlib
import logging
from datetime import datetime
from pathlib import Path

import msgspec

from freehold import files
from freehold.errors import KeysUnavailableError
from freehold.types.record import Record

log = logging.getLogger("freehold.gateway")

KEYS_FILE = "keys.json"
"""Its name in a project's state folder."""
_HINT = "bring the store back, or take this one as it is, with the keys it has: freehold keys accept"


class KeyRequirement(Record, frozen=True, kw_only=True):
    """Since when keys are required, by which store, and the number of its last change of a key that was seen."""

    since: datetime
    store_id: str
    changes: int


def read(path: Path | None) -> KeyRequirement | None:
    """What the file says, None where there is none. Raises `KeysUnavailableError` for one that cannot be read: in doubt
    keys are required."""
    if path is None:
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=KeyRequirement)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise KeysUnavailableError(
            f"{path} cannot be read, so it is not known which store holds the keys: {error}", hint=_HINT
        ) from None


def write(path: Path, requirement: KeyRequirement) -> None:
    """Replace the file, on the disk before this returns. Raises `StorageError`."""
    with files.writing(f"{path}: that keys are required cannot be kept"):
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, msgspec.json.encode(requirement) + b"\n", private=True, durable=True)


def forget(path: Path | None) -> None:
    """Keys are not required any more. Raises `StorageError`."""
    if path is not None:
        with files.writing(f"{path}: cannot be removed"):
            path.unlink(missing_ok=True)


def check_file(path: Path | None, store_file: Path | None) -> None:
    """Before a store is opened, which would make a new one: is it there? Raises `KeysUnavailableError`."""
    if store_file is None or read(path) is None:
        return
    try:
        size = store_file.stat().st_size
    except FileNotFoundError:
        raise KeysUnavailableError(
            f"the store at {store_file} is gone, and it held the keys that are required here", hint=_HINT
        ) from None
    except OSError:
        return
    if size == 0:
        raise KeysUnavailableError(
            f"the store at {store_file} is empty, and it held the keys that are required here", hint=_HINT
        )


def reconcile(
    path: Path | None,
    *,
    store_id: str,
    changes: int,
    has_keys: bool,
    forgotten: bool,
    at: datetime,
) -> bool:
    """Compare the file with a store that was read, and bring it up to date; whether keys are required.

    `forgotten` says that the store's keys were forgotten on purpose by its last change. Raises `KeysUnavailableError`
    for a store that is not the one the file knows, or is older.
    """
    known = read(path)
    if known is not None:
        check_store(known, store_id=store_id, changes=changes)
        if forgotten and changes > known.changes:
            with contextlib.suppress(OSError):
                forget(path)
            return False
    if known is None and not has_keys:
        return False
    if path is not None and (known is None or known.changes != changes):
        since = at if known is None else known.since
        try:
            write(path, KeyRequirement(since=since, store_id=store_id, changes=changes))
        except Exception as error:  # noqa: BLE001 (keys are asked for all the same)
            log.warning("%s", error)
    return True


def check_store(known: KeyRequirement, *, store_id: str, changes: int) -> None:
    """Raises `KeysUnavailableError` for a store that is not the one that is known, or is older."""
    if store_id != known.store_id:
        raise KeysUnavailableError(
            "keys are required here, and this is not the store that held them: "
            f"it is {store_id[:8] or 'without a name'}, they were in {known.store_id[:8]}",
            hint=_HINT,
        )
    if changes < known.changes:
        raise KeysUnavailableError(
            f"the store is an older copy: it has seen {changes} changes of keys, {known.changes} were seen before; "
            "a key that was revoked since may be good in it",
            hint=_HINT,
        )
