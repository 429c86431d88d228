"""`freehold.toml`: what people write. Strict: an unknown key is an error that names the nearest known one."""

from __future__ import annotations

import difflib
import tomllib
from typing import Any, Literal

import msgspec

from freehold.errors import ConfigError
from freehold.types.cluster import ClusterConfig
from freehold.types.curation import CurateConfig
from freehold.types.license import UseProfile
from freehold.types.table import Table
from freehold.types.traffic_config import (
    CaptureConfig,
    EndpointConfig,
    PriceConfig,
    RolloutConfig,
    RouteConfig,
    WatchConfig,
)
from freehold.types.training import FinetuneConfig, misfit

DataFormat = Literal[
    "auto", "openai", "preferences", "pairs", "columns", "stored_completions", "evals", "langfuse", "langsmith",
    "litellm", "helicone", "opentelemetry", "csv", "jsonl",
]  # fmt: skip


class AppConfig(Table, frozen=True, kw_only=True):
    """`[app]`: the application that moves."""

    name: str
    """Name of the application. Adapters are served as `MODEL:NAME`."""


class IncumbentConfig(Table, frozen=True, kw_only=True):
    """`[incumbent]`: the model paid for today. Without `base_url` only frozen answers are used."""

    model: str
    """Its model name, dated where there is a date: `gpt-4o-2024-08-06`."""
    base_url: str | None = None
    """Address of its API. Needed to forward or record live answers."""
    api: Literal["openai", "anthropic"] = "openai"
    """What it speaks."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the key, never the key."""
    price: PriceConfig | None = None
    """`{ prompt = 2.5, completion = 10 }`: dollars per million tokens, where the list price does not hold."""


class DataConfig(Table, frozen=True, kw_only=True):
    """`[data]`: where traces come from. `files` are relative to `freehold.toml`.

    `format` is told from the content when ``auto``; ``csv`` and ``jsonl`` are old names of ``columns``. For those
    (tables, or JSON lines without messages) `input` and `label` name the columns, and `system` is the instruction put
    before each input. `held_out_files` are kept for evaluation whole, and then nothing of `files` is unless `held_out`
    says so.
    """

    files: tuple[str, ...] = ()
    """Log files to import."""
    held_out_files: tuple[str, ...] = ()
    """Files kept for evaluation whole."""
    format: DataFormat = "auto"
    """Format of the files."""
    input: str | None = None
    """Column of the question, for tables (default: `input`, `text`, `question` …)."""
    label: str | None = None
    """Column of the right answer, for tables (default: `label`, `category`, `gold` …)."""
    incumbent: str | None = None
    """Column of the incumbent's answer, for tables (default: `output`, `response` …)."""
    answers: Literal["incumbent", "gold"] = "incumbent"
    """What a recorded answer is: the incumbent's, or right (a fine-tuning file holds what was wanted)."""
    system: str | None = None
    """Instruction put before each input, for tabular files."""
    held_out: float | None = None
    """Share of groups held out for evaluation (default: 0.2; 0 where there are `held_out_files`)."""
    validation: float = 0.05
    """Share of the remaining groups kept to watch training."""
    seed: int = 0
    """Decides which group goes where."""
    limit: int | None = None
    """At most this many training samples."""
    held_out_limit: int | None = None
    """At most this many held-out samples."""


class TaskConfig(Table, frozen=True, kw_only=True):
    """`[task]`: what counts as right, and the largest drop that is accepted.

    `looks` is how often the same held-out samples may be evaluated for a verdict, decided beforehand; alpha is divided
    among them. A look beyond that can no longer promote.
    """

    scorer: str = "exact"
    """How an answer is scored."""
    margin: float = 0.02
    """Largest drop you accept, on the score's scale: 0.02 is two points."""
    alpha: float = 0.025
    """Chance to promote a candidate that is worse by exactly the margin."""
    looks: int = 1
    """Planned evaluations of the same held-out samples."""
    group_by: str | None = None
    """Field that must not be torn across splits and that clusters the statistics (default: the conversation)."""
    slices: tuple[str, ...] = ()
    """Fields tested for harm value by value."""
    options: dict[str, Any] = {}
    """Options of the scorer."""
    max_tokens: int = 64
    """Longest answer asked for."""


class CandidatesConfig(Table, frozen=True, kw_only=True):
    """`[candidates]`: open models to try, catalog ids, best guess first."""

    models: tuple[str, ...] = ("HuggingFaceTB/SmolLM2-135M-Instruct",)
    """Catalog ids. Each is ruled on, trained and judged."""


class ServeConfig(Table, frozen=True, kw_only=True):
    """`[serve]`: how the candidate is served."""

    models: tuple[str, ...] = ()
    """What `freehold serve` serves when no model is named there."""
    engine: Literal["auto", "llamacpp", "vllm", "ollama", "remote", "echo"] = "auto"
    """What runs the model; `auto` follows the table of serving speed, and is llama.cpp for what `migrate` trains."""
    context_tokens: int = 2048
    """Tokens for each request, question and answer together."""
    parallel: int = 4
    """Requests served at once."""
    port: int | None = None
    """Port of the endpoint (default: FREEHOLD_PORT)."""
    options: dict[str, Any] = {}
    """Options of the engine."""


class StoreConfig(Table, frozen=True, kw_only=True):
    """`[store]`: another database than the SQLite file in the state folder."""

    url: str | None = None
    """SQLAlchemy URL. FREEHOLD_DATABASE_URL goes before it."""


class ProjectConfig(Table, frozen=True, kw_only=True):
    """The whole of `freehold.toml`."""

    app: AppConfig
    incumbent: IncumbentConfig | None = None
    use: UseProfile = UseProfile()
    data: DataConfig = DataConfig()
    curate: CurateConfig = CurateConfig()
    task: TaskConfig = TaskConfig()
    candidates: CandidatesConfig = CandidatesConfig()
    train: FinetuneConfig = FinetuneConfig()
    serve: ServeConfig = ServeConfig()
    endpoints: tuple[EndpointConfig, ...] = ()
    routes: tuple[RouteConfig, ...] = ()
    capture: CaptureConfig = CaptureConfig()
    rollout: RolloutConfig = RolloutConfig()
    watch: WatchConfig = WatchConfig()
    cluster: ClusterConfig = ClusterConfig()
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
        if inner is not None:
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, dict):
                    _check_keys(part, inner, path, (*place, key))


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
        (0 <= (config.data.held_out or 0) < 1, "data.held_out", config.data.held_out, "from 0 to below 1"),
        (0 <= config.data.validation < 1, "data.validation", config.data.validation, "from 0 to below 1"),
        (
            config.curate.near_duplicates == 0 or 0.3 <= config.curate.near_duplicates <= 1,
            "curate.near_duplicates",
            config.curate.near_duplicates,
            "0 (off) or from 0.3 to 1",
        ),
        (
            0 <= config.curate.incumbent_min_score <= 1,
            "curate.incumbent_min_score",
            config.curate.incumbent_min_score,
            "from 0 to 1",
        ),
        (
            config.serve.context_tokens >= 16,
            "serve.context_tokens",
            config.serve.context_tokens,
            "at least 16",
        ),
        (
            config.rollout.requests_per_user >= 1,
            "rollout.requests_per_user",
            config.rollout.requests_per_user,
            "at least 1",
        ),
        (config.rollout.look_seconds > 0, "rollout.look_seconds", config.rollout.look_seconds, "above 0"),
        (config.watch.requests >= 1, "watch.requests", config.watch.requests, "at least 1"),
        (config.watch.every_hours > 0, "watch.every_hours", config.watch.every_hours, "above 0"),
        (config.cluster.min_replicas >= 1, "cluster.min_replicas", config.cluster.min_replicas, "at least 1"),
        (
            config.cluster.max_replicas >= config.cluster.min_replicas,
            "cluster.max_replicas",
            config.cluster.max_replicas,
            "at least cluster.min_replicas",
        ),
        (config.cluster.machines >= 1, "cluster.machines", config.cluster.machines, "at least 1"),
        (0 < config.cluster.port < 65536, "cluster.port", config.cluster.port, "from 1 to 65535"),
        (bool(config.candidates.models), "candidates.models", [], "a list with at least one model id"),
    )
    for holds, key, value, wanted in checks:
        if not holds:
            raise ConfigError(f"{path}: {key} is {value}, expected {wanted}")
    wrong = misfit(config.train)
    if wrong is not None:
        raise ConfigError(f"{path}: train.{wrong.name} is {wrong.value}, expected {wrong.expected}")
