"""The shortlist put into a `freehold.toml` as `[[candidates]]`, those that it does not name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from freehold import files
from freehold.errors import ConfigError
from freehold.types.choosing import CandidateRow
from freehold.types.config import CandidateConfig
from freehold.types.config_file import parse


def first_of(shortlist: Iterable[CandidateRow], most: int) -> tuple[CandidateConfig, ...]:
    """What of a shortlist is worth trying: the first encoder where there are any (one tells what encoders can do), and
    the first models that write, `most` in all."""
    rows = list(shortlist)
    encoders = [row for row in rows if row.method is not None][:1]
    others = [row for row in rows if row.method is None]
    return tuple(CandidateConfig(model=row.model, method=row.method) for row in (*encoders, *others)[:most])


def put(path: Path, chosen: tuple[CandidateConfig, ...]) -> None:
    """Add what was chosen to the file's candidates.

    Raises `ConfigError` when the file says it in a way that cannot be changed safely: nothing is written then.
    """
    try:
        before = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    known = parse(before, path=str(path))
    candidates = known.candidates or ()
    more = [one for one in chosen if not _is_named(one, candidates)]
    line = as_tables(more)
    after = f"{before.rstrip()}\n\n{line}" if more else before
    try:
        same = parse(after, path=str(path)) == msgspec.structs.replace(
            known, candidates=(*candidates, *more) or None
        )
    except ConfigError:
        same = False
    if not same:
        raise ConfigError(
            f"{path}: candidates are written in a way that cannot be changed here", hint=f"add {line}"
        )
    with files.writing(f"{path}: cannot be written"):
        files.write(path, after)


def as_tables(chosen: Iterable[CandidateConfig]) -> str:
    """These candidates as `[[candidates]]` tables."""
    return "\n".join(
        f'[[candidates]]\nmodel = "{one.model}"\n'
        + (f'method = "{one.method}"\n' if one.method is not None else "")
        for one in chosen
    )


def _is_named(one: CandidateConfig, known: tuple[CandidateConfig, ...]) -> bool:
    """Whether a table names the model, with the method where it says one."""
    return any(two.model == one.model and one.method in (None, two.method) for two in known)
