"""The shortlist put into the candidates of a `freehold.toml`; the rest of the file stays as it is.

Where the file has `[[candidates]]` tables, models that none of them names are added as tables; else the list is
`[candidates] models`.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from freehold import files
from freehold.errors import ConfigError
from freehold.types.config import CandidateConfig, CandidatesConfig, parse

_TABLE = re.compile(r"^[ \t]*\[candidates\][^\n]*\n?(.*?)(?=^[ \t]*\[|\Z)", re.MULTILINE | re.DOTALL)
_MODELS = re.compile(r"^[ \t]*models[ \t]*=[ \t]*\[.*?\]", re.MULTILINE | re.DOTALL)


def put(path: Path, models: tuple[str, ...]) -> None:
    """Write `models` into the file's candidates, which are made when they are not there.

    Raises `ConfigError` when the file says it in a way that cannot be changed safely: nothing is written then.
    """
    try:
        before = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    line = "models = [" + ", ".join(f'"{model}"' for model in models) + "]"
    known = parse(before, path=str(path))
    expected: CandidatesConfig | tuple[CandidateConfig, ...] = CandidatesConfig(models=models)
    if isinstance(known.candidates, tuple):
        more = [model for model in models if model not in known.models]
        line = "\n".join(f'[[candidates]]\nmodel = "{model}"\n' for model in more)
        after = f"{before.rstrip()}\n\n{line}" if more else before
        expected = (*known.candidates, *(CandidateConfig(model=model) for model in more))
    else:
        after = _changed(before, line)
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
