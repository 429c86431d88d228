"""What holds of every key of a `freehold.toml` by its name or its kind, whatever table it stands in."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from freehold.errors import ConfigError

MOST = 2**63 - 1
"""The largest integer: TOML promises no larger one, and a store holds none."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DIGITS = re.compile(r"[0-9]+")
_PIECE = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_LONG_WORD = 20


def is_variable(name: str) -> bool:
    """Whether it names an environment variable that a shell can set, and is not a key in the place of the name.

    Many keys have a dash in them. Others (of Groq, Mistral, Hugging Face, Azure) are drawn of letters and digits, as
    words between underscores never are: ``MYCOMPANYOPENAIKEY2025`` is long and has one number.
    """
    return bool(_VARIABLE.fullmatch(name)) and not any(_is_drawn(word) for word in name.split("_"))


def _is_drawn(word: str) -> bool:
    """Whether a long word has digits, and more and shorter pieces than one that was thought of."""
    if len(word) < _LONG_WORD or not _DIGITS.search(word):
        return False
    if word.islower() or word.isupper():
        return len(_DIGITS.findall(word)) >= 3
    return 3 * len(_PIECE.findall(word)) > len(word)


def check_written(
    raw: Any, path: str, line_of: Callable[[str], int | None], place: tuple[str, ...] = ()
) -> None:
    """Check parsed tables before they become records.

    Raises `ConfigError` for a key in the place of the variable that holds it (``…_env``), without repeating it, for an
    address (``base_url``) that is not one of HTTP, and for an integer beyond 64 bits.
    """
    if isinstance(raw, dict):
        for key, value in raw.items():
            check_written(value, path, line_of, (*place, key))
    elif isinstance(raw, list):
        for at, value in enumerate(raw):
            check_written(value, path, line_of, (*place[:-1], f"{place[-1]}[{at}]") if place else ())
    elif (wrong := _wrong(raw, place)) is not None:
        where = ".".join(place)
        line = line_of(where)
        raise ConfigError(f"{path if line is None else f'{path}:{line}'}: {where} {wrong[0]}", hint=wrong[1])


def _wrong(value: Any, place: tuple[str, ...]) -> tuple[str, str | None] | None:
    """What is wrong with one value, and the way out; None where nothing is."""
    if isinstance(value, int) and abs(value) > MOST:
        return "is too large a number: it has more than 64 bits", None
    if not isinstance(value, str):
        return None
    if (named := _env_key(place)) is not None and not is_variable(value):
        return "is not the name of an environment variable", (
            "it is not repeated here, since it may be a secret: put that into a variable (export "
            f'OPENAI_API_KEY=…), and name it here: {named} = "OPENAI_API_KEY"'
        )
    return no_address(value) if value and place[-1:] == ("base_url",) else None


def _env_key(place: tuple[str, ...]) -> str | None:
    """The key that says that variables are named here: the last one, or the one above, which is a table of them."""
    return next((key for key in reversed(place[-2:]) if key.endswith("_env")), None)


def no_address(url: str) -> tuple[str, str] | None:
    """What is wrong with the address of an API, and the way out; None where nothing is. It may hold a password."""
    example = "as in https://api.openai.com/v1"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "is not an address", example
    shown = f"is {url}" if "@" not in url else "is an address"
    if parts.scheme not in ("http", "https"):
        bare = "://" not in url and "@" not in url and not re.search(r"\s", url)
        return f"{shown}, expected http(s)://…", f"https://{url}?" if bare else example
    if not parts.hostname or re.search(r"\s", url):
        return (
            f"{shown}, which names no host" if not parts.hostname else f"{shown}, which has a space in it",
            example,
        )
    return None
