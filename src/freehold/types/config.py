"""`freehold.toml`: what people write. Strict: an unknown key is an error that names the nearest known one."""

from __future__ import annotations

import difflib
import tomllib
from typing import Any, Literal

import msgspec

from freehold.errors import ConfigError
from freehold.types.license import UseProfile
from freehold.types.training import FinetuneConfig


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of `freehold.toml`."""


class AppConfig(Table, frozen=True, kw_only=True):
    """`[app]`: the application that moves."""

    name: str


class IncumbentConfig(Table, frozen=True, kw_only=True):
    """`[incumbent]`: the model paid for today. `base_url` is None when only frozen answers are used."""

    model: str
    base_url: str | None = None
    api: Literal["openai", "anthropic"] = "openai"
    api_key_env: str | None = None


class DataConfig(Table, frozen=True, kw_only=True):
    """`[data]`: where traces come from. `files` are relative to `freehold.toml`.

    `format` is sniffed when ``auto``. For tabular files (``csv``, or JSON lines without messages) `input`
    and `label` name the columns, and `system` is the instruction put before each input. `held_out_files`
    are kept for evaluation whole; otherwise `held_out` is the share of groups held out.
    """

    files: tuple[str, ...] = ()
    held_out_files: tuple[str, ...] = ()
    format: Literal["auto", "openai", "pairs", "csv", "jsonl"] = "auto"
    input: str | None = None
    label: str | None = None
    incumbent: str | None = None
    system: str | None = None
    held_out: float = 0.2
    validation: float = 0.05
    seed: int = 0
    limit: int | None = None
    held_out_limit: int | None = None


class TaskConfig(Table, frozen=True, kw_only=True):
    """`[task]`: what counts as right, and the largest drop that is accepted.

    `looks` is how often the same held-out samples may be evaluated for a verdict, decided beforehand; alpha is divided
    among them. A look beyond that can no longer promote.
    """

    scorer: str = "exact"
    margin: float = 0.02
    alpha: float = 0.025
    looks: int = 1
    group_by: str | None = None
    slices: tuple[str, ...] = ()
    options: dict[str, Any] = {}
    max_tokens: int = 64


class CandidatesConfig(Table, frozen=True, kw_only=True):
    """`[candidates]`: open models to try, catalog ids, best guess first."""

    models: tuple[str, ...] = ("HuggingFaceTB/SmolLM2-135M-Instruct",)


class ServeConfig(Table, frozen=True, kw_only=True):
    """`[serve]`: how the candidate is served."""

    engine: Literal["auto", "llamacpp", "vllm", "ollama", "remote", "echo"] = "auto"
    context_tokens: int = 2048
    parallel: int = 4
    port: int | None = None
    options: dict[str, Any] = {}


class RolloutConfig(Table, frozen=True, kw_only=True):
    """`[rollout]`: how traffic is shifted."""

    shadow: float = 0.2
    canary: tuple[float, ...] = (0.01, 0.1, 0.5)
    max_p95_ms: float | None = None


class StoreConfig(Table, frozen=True, kw_only=True):
    """`[store]`: another database than the SQLite file in the state folder."""

    url: str | None = None


class ProjectConfig(Table, frozen=True, kw_only=True):
    """The whole of `freehold.toml`."""

    app: AppConfig
    incumbent: IncumbentConfig | None = None
    use: UseProfile = UseProfile()
    data: DataConfig = DataConfig()
    task: TaskConfig = TaskConfig()
    candidates: CandidatesConfig = CandidatesConfig()
    train: FinetuneConfig = FinetuneConfig()
    serve: ServeConfig = ServeConfig()
    rollout: RolloutConfig = RolloutConfig()
    store: StoreConfig = StoreConfig()


def parse(text: str, *, path: str = "freehold.toml") -> ProjectConfig:
    """Parse and check the text of a `freehold.toml`.

    Raises `ConfigError` with the path of the offending key (``task.margn``) and, for an unknown key, the
    nearest known one.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    _check_keys(raw, ProjectConfig, path, ())
    try:
        config = msgspec.convert(raw, ProjectConfig)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$.")
        raise ConfigError(f"{path}: {where.rstrip('`') or 'top level'}: {message}") from None
    _check_values(config, path)
    return config


def _check_keys(raw: dict[str, Any], table: type[Any], path: str, place: tuple[str, ...]) -> None:
    kinds = {field.encode_name: field.type for field in msgspec.structs.fields(table)}
    for key, value in raw.items():
        if key not in kinds:
            near = difflib.get_close_matches(key, kinds, n=1)
            raise ConfigError(
                f"{path}: unknown key {'.'.join((*place, key))}",
                hint=f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(kinds))}",
            )
        inner = next((arg for arg in _union(kinds[key]) if _is_struct(arg)), None)
        if inner is not None and isinstance(value, dict):
            _check_keys(value, inner, path, (*place, key))


def _union(annotation: Any) -> tuple[Any, ...]:
    return getattr(annotation, "__args__", None) or (annotation,)


def _is_struct(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, msgspec.Struct)


def _check_values(config: ProjectConfig, path: str) -> None:
    checks: tuple[tuple[bool, str, object, str], ...] = (
        (
            0 < config.task.margin < 1,
            "task.margin",
            config.task.margin,
            "between 0 and 1 (0.02 is two points)",
        ),
        (0 < config.task.alpha < 0.5, "task.alpha", config.task.alpha, "between 0 and 0.5"),
        (config.task.looks >= 1, "task.looks", config.task.looks, "at least 1"),
        (0 < config.data.held_out < 1, "data.held_out", config.data.held_out, "between 0 and 1"),
        (0 <= config.data.validation < 1, "data.validation", config.data.validation, "from 0 to below 1"),
        (config.train.r >= 1, "train.r", config.train.r, "at least 1"),
        (config.train.batch_size >= 1, "train.batch_size", config.train.batch_size, "at least 1"),
        (config.train.epochs > 0, "train.epochs", config.train.epochs, "above 0"),
        (
            config.serve.context_tokens >= 16,
            "serve.context_tokens",
            config.serve.context_tokens,
            "at least 16",
        ),
        (bool(config.candidates.models), "candidates.models", [], "a list with at least one model id"),
    )
    for holds, key, value, wanted in checks:
        if not holds:
            raise ConfigError(f"{path}: {key} is {value}, expected {wanted}")
