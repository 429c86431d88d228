"""The shortlist put into the candidates of a `freehold.toml`; the rest of the file stays as it is.

Where the file has `[[candidates]]` tables, those that it does not name are added as tables; else the list is
`[candidates] models`, unless one of them has a method of its own: then it is tables, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from freehold import files
from freehold.errors import ConfigError
from freehold.types.config import CandidateConfig, CandidatesConfig, parse
from freehold.types.planning.assessment import CandidateRow

_TABLE = re.compile(r"^[ \t]*\[candidates\][^\n]*\n?(.*?)(?=^[ \t]*\[|\Z)", re.MULTILINE | re.DOTALL)
_MODELS = re.compile(r"^[ \t]*models[ \t]*=[ \t]*\[.*?\]", re.MULTILINE | re.DOTALL)


def first_of(shortlist: Iterable[CandidateRow], most: int) -> tuple[CandidateConfig, ...]:
    """What of a shortlist is worth trying: the first encoder where there are any (one tells what encoders can do), and
    the first models that write, `most` in all."""
    rows = list(shortlist)
    encoders = [row for row in rows if row.method is not None][:1]
    others = [row for row in rows if row.method is None]
    return tuple(CandidateConfig(model=row.model, method=row.method) for row in (*encoders, *others)[:most])


def put(path: Path, chosen: tuple[CandidateConfig, ...]) -> None:
    """Write what was chosen into the file's candidates, which are made when they are not there.

    Raises `ConfigError` when the file says it in a way that cannot be changed safely: nothing is written then.
    """
    try:
        before = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    known = parse(before, path=str(path))
    expected: CandidatesConfig | tuple[CandidateConfig, ...]
    if isinstance(known.candidates, tuple):
        more = [one for one in chosen if not _is_named(one, known.candidates)]
        line = as_tables(more)
        after = f"{before.rstrip()}\n\n{line}" if more else before
        expected = (*known.candidates, *more)
    elif any(one.method is not None for one in chosen):
        line = as_tables(chosen)
        after = f"{_TABLE.sub('', before).rstrip()}\n\n{line}"
        expected = chosen
    else:
        line = as_list(chosen)
        after = _changed(before, line)
        expected = CandidatesConfig(models=tuple(one.model for one in chosen))
    try:
        same = parse(after, path=str(path)) == msgspec.structs.replace(known, candidates=expected)
    except ConfigError:
        same = False
    if not same:
        raise ConfigError(
            f"{path}: [candidates] is written in a way that cannot be changed here", hint=f"write {line}"
        )
    with files.writing(f"{path}: cannot be written"):
        files.write(path, after)


def as_list(chosen: Iterable[CandidateConfig]) -> str:
    """The line of `[candidates]` that names these models."""
    return "models = [" + ", ".join(f'"{one.model}"' for one in chosen) + "]"


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


def _changed(text: str, line: str) -> str:
    table = _TABLE.search(text)
    if table is None:
        return f"{text.rstrip()}\n\n[candidates]\n{line}\n" if text.strip() else f"[candidates]\n{line}\n"
    begin, end = table.span(1)
    body = table.group(1)
    if _MODELS.search(body):
        body = _MODELS.sub(lambda _: line, body, count=1)
    else:
        body = f"{line}\n{body}"
        if not text[:begin].endswith("\n"):
            body = f"\n{body}"
    return text[:begin] + body + text[end:]
