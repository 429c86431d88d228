"""`freehold.toml`: what people write. Strict: an unknown key is an error that names the nearest known one."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from freehold.errors import ConfigError, did_you_mean
from freehold.types import strict
from freehold.types.config.candidates import (
    CHOOSING,
    DEFAULT_MODEL,
    SETTINGS_OF,
    CandidateConfig,
    SelectionConfig,
)
from freehold.types.config.cluster import ClusterConfig
from freehold.types.config.data import CurateConfig, DataConfig
from freehold.types.config.defer import DeferConfig
from freehold.types.config.lines import line_of
from freehold.types.config.table import AtLeastOne, Table
from freehold.types.config.traffic import (
    CaptureConfig,
    EndpointConfig,
    PriceConfig,
    RolloutConfig,
    RouteConfig,
    WatchConfig,
)
from freehold.types.config.train import FinetuneConfig, Method
from freehold.types.config.upper import endpoint_of_upper
from freehold.types.config.use import UseProfile
from freehold.types.config.use_words import check_use
from freehold.types.config.written import check_written
from freehold.types.endpoint import CloudCredentials
from freehold.types.engine import EngineName


class AppConfig(Table, frozen=True, kw_only=True):
    """`[app]`: the application that moves."""

    name: str
    """Name of the application. Adapters are served as `MODEL:NAME`."""


class IncumbentConfig(Table, frozen=True, kw_only=True):
    """`[incumbent]`: the model paid for today. Without `base_url` only frozen answers are used."""

    model: str
    """Its model name, dated where there is a date: `gpt-4o-2024-08-06`."""
    base_url: str | None = None
    """Address of its API, as its documentation gives it to clients; a host alone means `/v1` there. Needed to
    forward or record live answers."""
    preset: str | None = None
    """A vendor whose base URL, API and key header are known: `openai`, `anthropic`, `azure`, `gemini`, `mistral`,
    `openrouter`, `bedrock` … Where each customer has an address, `base_url` says it."""
    api: Literal["openai", "anthropic"] = "openai"
    """What it speaks."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the key, never the key."""
    credentials: CloudCredentials | None = None
    """In the place of a key, the usual chain of credentials of a cloud: `aws` signs requests (Bedrock), `google`
    (Vertex AI) and `azure` (Entra ID) send access tokens. Needs the extra of that name."""
    others: Literal["auto", "pass", "refuse"] = "auto"
    """What becomes of everything else an application asks (other models, files, images, audio, batches, realtime …):
    `pass` hands it on to the incumbent, `refuse` answers 404. `auto` passes it on while clients bring keys of their
    own, and refuses it where `api_key_env` or `credentials` are the owner's."""
    price: PriceConfig | None = None
    """`{ prompt = 2.5, completion = 10 }`: dollars per million tokens, where the list price does not hold."""


class TaskConfig(Table, frozen=True, kw_only=True):
    """`[task]`: what counts as right, and the largest drop that is accepted.

    `looks` is how often held-out samples may be evaluated for a verdict, decided beforehand; alpha is divided among
    them, most of it for the last, which has most data. A look beyond that can no longer promote.
    """

    scorer: str = "exact"
    """How an answer is scored."""
    margin: Annotated[float, Meta(gt=0, lt=1, description="between 0 and 1 (0.02 is two points)")] = 0.02
    """Largest drop you accept, on the score's scale: 0.02 is two points."""
    alpha: Annotated[float, Meta(gt=0, lt=0.5)] = 0.025
    """Chance to promote a candidate that is worse by exactly the margin."""
    looks: AtLeastOne = 1
    """Planned evaluations of the same held-out samples."""
    group_by: str | None = None
    """Field that must not be torn across splits and that clusters the statistics (default: the conversation)."""
    slices: tuple[str, ...] = ()
    """Fields tested for harm value by value."""
    options: dict[str, Any] = {}
    """Options of the scorer."""
    max_tokens: int = 64
    """Longest answer asked for."""


class ServeConfig(Table, frozen=True, kw_only=True):
    """`[serve]`: how the candidate is served."""

    engine: Literal["auto", EngineName] = "auto"
    """What runs the model; `auto` follows the table of serving speed, and is llama.cpp for what `migrate` trains."""
    context_tokens: Annotated[int, Meta(ge=16)] = 2048
    """Tokens for each request, question and answer together."""
    parallel: int = 4
    """Requests served at once."""
    port: int | None = None
    """Port of the endpoint (default: FREEHOLD_PORT)."""
    tls_cert: str | None = None
    """Certificate chain in PEM: clients of the gateway connect over TLS. A renewed file is taken over in seconds."""
    tls_key: str | None = None
    """Private key of `tls_cert`, in PEM, not encrypted."""
    hosts: tuple[str, ...] = ()
    """Names clients reach the gateway by besides localhost, this machine's name and IP addresses: a service, a proxy's
    name, `*.example.com`; `*` is any. Where keys are asked for, other names are refused only if some are listed."""
    drain_s: Annotated[float, Meta(ge=0, le=3600)] = 30.0
    """Seconds that answers under way get to finish when the gateway stops, or its workers are renewed."""
    options: dict[str, Any] = {}
    """Options of the engine."""


class ProjectConfig(Table, frozen=True, kw_only=True):
    """The whole of `freehold.toml`."""

    app: AppConfig
    incumbent: IncumbentConfig | None = None
    use: UseProfile = UseProfile()
    data: DataConfig = DataConfig()
    curate: CurateConfig = CurateConfig()
    task: TaskConfig = TaskConfig()
    candidates: tuple[CandidateConfig, ...] | None = None
    selection: SelectionConfig = SelectionConfig()
    train: FinetuneConfig = FinetuneConfig()
    serve: ServeConfig = ServeConfig()
    endpoints: tuple[EndpointConfig, ...] = ()
    routes: tuple[RouteConfig, ...] = ()
    capture: CaptureConfig = CaptureConfig()
    defer: DeferConfig = DeferConfig()
    rollout: RolloutConfig = RolloutConfig()
    watch: WatchConfig = WatchConfig()
    cluster: ClusterConfig = ClusterConfig()

    @property
    def models(self) -> tuple[str, ...]:
        """The models it names as candidates, each once; the default one where it leaves them to freehold."""
        if self.candidates is None:
            return (DEFAULT_MODEL,)
        return tuple(dict.fromkeys(one.model for one in self.candidates))

    @property
    def writer(self) -> CandidateConfig | None:
        """The first candidate that writes text here: what commands serve, ask or look at where no model is named.

        None where all are encoders, which are trained first, or answer at an endpoint."""
        return next((one for one in self._here() if one.method != "encoder"), None)

    def learner(self, base: str | None = None) -> CandidateConfig | None:
        """The first candidate that writes text here and learns by its weights: what training means. Of a named base,
        None where no candidate is; without one, `writer` where no candidate learns so."""
        learners = [one for one in self._here() if one.method is None or one.method in get_args(Method)]
        if base is not None:
            return next((one for one in learners if one.model == base), None)
        return learners[0] if learners else self.writer

    def _here(self) -> tuple[CandidateConfig, ...]:
        if self.candidates is None:
            return (CandidateConfig(model=DEFAULT_MODEL),)
        return tuple(one for one in self.candidates if one.endpoint is None)

    @property
    def chooses(self) -> bool:
        """Whether something is chosen on the selection split: one of several candidates, or settings of one."""
        named = self.candidates
        return named is None or len(named) > 1 or any(one.method in CHOOSING for one in named)

    @property
    def learns(self) -> bool:
        """Whether anything is learned, chosen or calibrated on samples: all but one candidate that is asked as it is,
        or with a stated prompt, without mixtures. Else all samples may prove."""
        asked_only = all(one.method in ("as_is", "prompt") for one in self.candidates or ())
        return self.chooses or self.defer.least_share < 1 or not asked_only

    @property
    def upper(self) -> str | None:
        """``[defer] upper`` as ``ENDPOINT`` or ``ENDPOINT/MODEL``; None without one. Raises `ConfigError` where it
        names nothing that can be asked."""
        candidates = self.candidates or ()
        named = self.defer.upper
        return (
            None
            if named is None
            else endpoint_of_upper(named, candidates, {one.name for one in self.endpoints})
        )

    def train_of(self, candidate: CandidateConfig) -> FinetuneConfig:
        """``[train]`` as it is for one candidate. Raises `ConfigError` for a key or a value that cannot be."""
        raw = {**msgspec.to_builtins(self.train), **candidate.train}
        if candidate.method in get_args(Method):
            raw["method"] = candidate.method
        return strict.read(raw, FinetuneConfig, f"candidate {candidate.model}: train")


def usable_name(text: str) -> str:
    """A text made fit to be an application's name, which names a folder; ``app`` where nothing of it is left."""
    return re.sub(r"[/\\\x00-\x1f\x7f]|^\.+", "-", text) or "app"


def parse(text: str, *, path: str = "freehold.toml") -> ProjectConfig:
    """Parse and check the text of a `freehold.toml`.

    Raises `ConfigError` with the path of the offending key (``task.margn``) and, for an unknown key, the
    nearest known one.
    """
    import tomllib  # late: a gateway's processes know these records and never read the file

    text = text.removeprefix("\ufeff")  # a mark of editors of Windows
    lines = partial(line_of, text)
    try:
        raw = tomllib.loads(text)
        if isinstance(raw.get("use"), dict):
            check_use(raw["use"], f"{path}: use")
        check_written(raw, path, lines)
        config = strict.read(raw, ProjectConfig, path, line_of=lines)
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
