"""Reading a `freehold.toml`, its keys in words, and what it has freehold run, read and call."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
import typing
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, get_args
from urllib.parse import urlsplit

import msgspec

from freehold.errors import ConfigError, did_you_mean
from freehold.types import record
from freehold.types.config import SETTINGS_OF, CandidateConfig, Method, ProjectConfig
from freehold.types.record import Record
from freehold.types.use import check_use
from freehold.visible import without_password


def usable_name(text: str) -> str:
    """A text made fit to be an application's name, which names a folder; ``app`` where nothing of it is left."""
    return re.sub(r"[/\\\x00-\x1f\x7f]|^\.+", "-", text) or "app"


def parse(text: str, *, path: str = "freehold.toml", changes: Sequence[str] = ()) -> ProjectConfig:
    """Parse and check the text of a `freehold.toml`, with `changes` to it (``task.margin=0.03``): a value is TOML, or a
    text without quotes.

    Raises `ConfigError` with the path of the offending key (``task.margn``) and, for an unknown key, the
    nearest known one.
    """
    import tomllib  # late: a gateway's processes know these records and never read the file

    text = text.removeprefix("\ufeff")  # a mark of editors of Windows
    lines = partial(line_of, text)
    try:
        raw = tomllib.loads(text)
        for change in changes:
            _put(raw, change)
            path, lines = "--set", partial(line_of, "")
        if isinstance(raw.get("use"), dict):
            check_use(raw["use"], f"{path}: use")
        check_written(raw, path, lines)
        config = record.read(raw, ProjectConfig, path, line_of=lines)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{path}: lists or tables are nested too deep to be read") from None
    if config.app.name != usable_name(config.app.name):
        raise ConfigError(
            f"{path}: app.name is {config.app.name!r}, which cannot be the name of a folder",
            hint="adapters' folders are named by it: no slash, no dot at the beginning",
        )
    if 0 < config.curate.near_duplicates < 0.3:
        raise ConfigError(
            f"{path}: curate.near_duplicates is {config.curate.near_duplicates}, expected 0 (off) or from 0.3 to 1"
        )
    if (config.serve.tls_cert is None) != (config.serve.tls_key is None):
        raise ConfigError(f"{path}: serve.tls_cert and serve.tls_key need each other")
    if config.candidates is not None:
        _check_candidates(config, config.candidates, path)
    try:
        _ = config.upper
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}", hint=error.hint) from None
    return config


def _put(raw: dict[str, Any], change: str) -> None:
    """Put ``table.key=value`` into parsed tables. Raises `ConfigError` for what is not written so, or leads into a
    list of tables."""
    import tomllib

    key, equals, text = change.partition("=")
    *tables, last = key.split(".")
    inner: Any = raw
    for name in tables:
        inner = inner.setdefault(name, {}) if isinstance(inner, dict) else None
    if not equals or not all([*tables, last]) or not isinstance(inner, dict):
        raise ConfigError(
            f"--set {change}: expected TABLE.KEY=VALUE",
            hint="--set task.margin=0.03; a list of tables is given whole: --set 'candidates=[{model = \"…\"}]'",
        )
    try:
        inner[last] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        inner[last] = text


def _check_candidates(config: ProjectConfig, candidates: tuple[CandidateConfig, ...], path: str) -> None:
    """Raise `ConfigError` for a candidate that names what is not there, or says what its method does not read."""
    if not candidates:
        raise ConfigError(
            f"{path}: candidates is [], expected at least one", hint="left out, freehold proposes some"
        )
    endpoints = {one.name for one in config.endpoints}
    seen: set[tuple[str, str | None, str | None, str | None]] = set()
    for number, one in enumerate(candidates, 1):
        where = f"{path}: candidate {number} ({one.model})"
        if one.endpoint is not None and one.endpoint not in endpoints:
            raise ConfigError(
                f"{where}: endpoint {one.endpoint!r} is not one of [[endpoints]]",
                hint=did_you_mean(
                    one.endpoint, sorted(endpoints), "add [[endpoints]] with that name and its base_url"
                ),
            )
        method = one.method or ("as_is" if one.endpoint is not None else config.train.method)
        if method == "prompt" and one.system is None:
            raise ConfigError(
                f"{where}: method prompt is asked for without a prompt",
                hint='system = "…" stands in for the application\'s system prompt',
            )
        unset = CandidateConfig(model=one.model)
        for key, methods in SETTINGS_OF.items():
            if getattr(one, key) != getattr(unset, key) and method not in methods:
                raise ConfigError(
                    f"{where}: {key} is not read by method {method}",
                    hint=f"it is of method {', '.join(methods)}",
                )
        if method in get_args(Method):
            config.train_of(one)
        identity = (one.model, method, one.endpoint, one.name)
        if identity in seen:
            raise ConfigError(
                f"{where}: stands there twice with method {method}",
                hint='give each a name to tell them apart: name = "rank 16"',
            )
        seen.add(identity)


_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(r"""\s*((?:"[^"]*"|'[^']*'|[\w-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[\w-]+))*)\s*=""")


def line_of(text: str, key: str) -> int | None:
    """The line, counted from 1, of a key as errors write it: ``task.margin``, ``candidates[1].method``. Of a key in an
    inline table, that of the table; None where it stands nowhere, as a key that is missing does.

    Lines within a text of several lines that look like keys are taken for keys.
    """
    wanted = re.findall(r"[^.\[\]]+", key)
    counts: dict[str, int] = {}
    table: list[str] = []
    best, best_depth = None, 0
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _words(header[2])
            if header[1] == "[[":
                counts[header[2]] = counts.get(header[2], -1) + 1
                table = [*table, str(counts[header[2]])]
            place = table
        elif found := _KEY.match(line):
            place = [*table, *_words(found[1])]
        else:
            continue
        if len(place) > best_depth and _begins(wanted, place):
            best, best_depth = number, len(place)
    return best


def _words(dotted: str) -> list[str]:
    return [word.strip().strip("\"'") for word in dotted.split(".")]


def _begins(wanted: list[str], place: list[str]) -> bool:
    """Whether `place` leads to `wanted`; the number of a table in a list counts only where `wanted` has one."""
    if not any(word.isdecimal() for word in wanted):
        place = [word for word in place if not word.isdecimal()]
    return place == wanted[: len(place)]


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


class ExplainedKey(Record, frozen=True, kw_only=True):
    """A key of `freehold.toml`."""

    table: str
    key: str
    meaning: str
    words: tuple[str, ...] = ()
    """What it may say, where that is a fixed set."""
    default: str | None = None
    """None where it must be said, or is nothing unless it is said."""


def explained(table: str | None = None) -> Iterator[ExplainedKey]:
    """The keys of one table, or of all, in the order of the file."""
    for field in msgspec.structs.fields(ProjectConfig):
        if table is None or field.name == table:
            for kind in _tables(field.type):
                yield from _keys(field.name, kind)


def tables() -> tuple[str, ...]:
    """The names of all tables."""
    return tuple(field.name for field in msgspec.structs.fields(ProjectConfig))


def _keys(table: str, kind: type[msgspec.Struct]) -> Iterator[ExplainedKey]:
    meanings: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if issubclass(one, msgspec.Struct) and one is not msgspec.Struct:
            meanings |= _meanings(one)
    for field in msgspec.structs.fields(kind):
        shown = field.default
        plain = isinstance(shown, str | int | float) and not isinstance(shown, bool)
        yield ExplainedKey(
            table=table,
            key=field.name,
            meaning=meanings.get(field.name, ""),
            words=tuple(_choices(field.type)),
            default=str(shown).lower() if isinstance(shown, bool) else str(shown) if plain else None,
        )


def _choices(annotation: object) -> Iterator[str]:
    if typing.get_origin(annotation) is typing.Literal:
        yield from map(str, typing.get_args(annotation))
    elif typing.get_origin(annotation) is not dict:
        for part in typing.get_args(annotation):
            yield from _choices(part)


def _tables(annotation: object) -> Iterator[type[msgspec.Struct]]:
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        yield annotation
    else:
        for part in typing.get_args(annotation):
            yield from _tables(part)


def _meanings(kind: type) -> dict[str, str]:
    """The strings under the fields of a class."""
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    except (OSError, IndentationError):
        return {}
    assert isinstance(body, ast.ClassDef)
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in zip(body.body, body.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


_PROGRAMS = ("binary", "python", "callable")
_ADDRESSES = ("base_url", "address")
_OWN = ("library", "auto")
"""Words in the place of a program or an address that mean what freehold brings or starts itself."""


def reach(config: ProjectConfig, content: Callable[[str], str]) -> tuple[str, ...]:
    """Each program that the file names, each variable and each address, as one line in words, sorted.

    `content` tells what a program is by more than its name, where it lies among the project's own files. A key stands
    in one line with the address that it is sent to: who agreed to both did not agree to each pair of them.
    """
    return tuple(sorted(set(_reach(msgspec.to_builtins(config), content))))


def _reach(value: Any, content: Callable[[str], str]) -> Iterator[str]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    for one in inner:
        yield from _reach(one, content)
    if not isinstance(value, dict):
        return
    said = {key: one for key, one in value.items() if isinstance(one, str) and one not in _OWN}
    for key in _PROGRAMS:
        if key in said:
            yield f"runs {said[key]}{content(said[key])}"
    if "callable" in said:
        yield from (f"reads {one}{content(one)}" for one in value.get("files", ()))
    secrets = [f"the key in {one}" for key, one in said.items() if key.endswith("_env")]
    secrets += [f"the credentials of {said['credentials']}"] if said.get("credentials") else []
    secrets += ["its clients' keys"] if value.get("forward_client_key") else []
    addresses = [without_password(said[key]) for key in _ADDRESSES if said.get(key)]
    yield from (f"calls {' with '.join([one, *secrets])}" for one in addresses)
    if "webhook_env" in said:
        yield f"calls the address in {said['webhook_env']}"
    elif not addresses:
        yield from (f"reads {one}" for one in secrets)
