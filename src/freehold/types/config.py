"""`freehold.toml`: what people write, table by table; `config_file` reads it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from freehold.errors import ConfigError, did_you_mean
from freehold.types import record
from freehold.types.endpoint import CloudCredentials
from freehold.types.engine import ENGINE_KINDS, EngineKind, EngineName
from freehold.types.method import MethodName
from freehold.types.record import AtLeastOne, NotNegative, Positive, Record, Share, ShareBelowOne, Table
from freehold.types.route import RouteTerms
from freehold.types.use import UseProfile

Skill = Literal["no_tool", "refusal", "format", "chat"]
"""What a base can do and should not unlearn: not to call a tool where none is wanted, to refuse, to keep to a format,
to answer a plain question."""
Keepable = Literal["no_tool", "refusal", "format", "chat", "other_tasks"]
"""What can be asked to stay: a skill, or what the base makes of the log's other tasks."""

Method = Literal["lora", "qlora"]
"""`lora`: an adapter learns to imitate the answers. `qlora`: the same on a base of 4 bits."""


class FinetuneConfig(Record, frozen=True, kw_only=True):
    """Options of a training run: what has more than one sane value.

    The rest is fixed in `freehold.training` (layers, scale, optimizer, schedule), or follows from the base's template
    and from the machine (memory, number format). `batch_size` counts samples per optimizer step.
    """

    method: Method = "lora"
    """How to train."""
    r: AtLeastOne = 64
    """Rank of the adapter, which counts twice, whatever its rank."""
    learning_rate: NotNegative = 0.0
    """Peak learning rate; 0 chooses one by the size of the base."""
    epochs: NotNegative = 0.0
    """Passes over the train split; 0 chooses by the number of samples."""
    batch_size: AtLeastOne = 32
    """Samples per optimizer step."""
    max_tokens: Annotated[int, Meta(ge=2)] = 1024
    """Longer samples are left out and reported, never cut."""
    seed: Annotated[int, Meta(ge=0)] = 0
    """Decides initial weights and sample order."""
    max_minutes: Positive | None = None
    """Shorten the schedule to end in this time."""
    probe: Annotated[int, Meta(ge=0, le=200)] = 80
    """Probes of other skills that a candidate and its base are asked after the evaluation, with 120 requests of the
    log's other tasks (those that `[[data.match]]` leaves out); 0 asks none of either. Slices by skill need 20 each."""
    probe_logs: tuple[str, ...] = ()
    """Where requests of other tasks are besides what `[data]` names: log files, and folders of projects, whose stores
    are read."""
    retain: tuple[Keepable, ...] = ()
    """Skills (no_tool, refusal, format, chat) and other_tasks, whose proven loss holds the verdict; of others it only
    tells."""


DEFAULT_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""The model that commands mean where a project names none."""


class MethodSettings(Table, frozen=True, kw_only=True):
    """What a candidate says about its method. Keys of other methods are errors."""

    system: str | None = None
    """Method `prompt`: the system prompt it is asked with, where the application's stands. Requests with another one go
    as they came."""
    stage: Literal["auto", "frozen", "contrastive", "tuned"] | None = None
    """Method `encoder`: what learns: the heads alone (`frozen`), or the encoder too; `auto` (default) by the number of
    samples."""


class CandidateConfig(MethodSettings, frozen=True, kw_only=True):
    """`[[candidates]]`: one model and one method each. Left out altogether, `freehold migrate` proposes some."""

    model: str
    """Catalog id, path to weights, or the name an endpoint knows it by."""
    method: MethodName | None = None
    """How it is made (default: `as_is` where it runs elsewhere, else the method of `[train]`)."""
    endpoint: str | None = None
    """One of `[[endpoints]]` that it runs behind. Left out, it runs here."""
    name: str | None = None
    """Tells two candidates of the same model and method apart in the report."""
    train: dict[str, Any] = {}
    """Keys of `[train]` that are different for this candidate: `train = { r = 16, epochs = 2 }`."""


class SelectionConfig(Table, frozen=True, kw_only=True):
    """`[selection]`: how several candidates are measured before they share one look at held-out samples."""

    stop: Literal["first", "all"] = "first"
    """`first` stops at the first candidate whose selection result suffices, cheapest expected first; `all` makes and
    measures every one, each to its end."""
    within_minutes: Annotated[float, Meta(gt=0, description="minutes, above 0")] | None = None
    """Once that long was spent on making and measuring several candidates, and one is left that was not shown to be
    worse, no further one is begun. Training ends with it as well, at its best so far, and so does the reading of texts:
    an encoder learns from what it has read, and says how many it has not. A further candidate is trained for half of it
    at least. A command that goes on after a kill counts from 0. Left out: 15 without an accelerator, no limit with one
    or where `stop` is `all`."""
    usd_per_hour: Decimal | None = None
    """Dollars that an hour of this machine costs you (default: what its accelerators rent for; without any 5 cents a
    core). Candidates that run here are compared by it with those that have a price."""


SETTINGS_OF: dict[str, tuple[MethodName, ...]] = {
    "system": ("prompt",),
    "stage": ("encoder",),
    "train": ("lora", "qlora", "encoder"),
}
"""The methods that read a key of `[[candidates]]`."""

CHOOSING: tuple[MethodName, ...] = ("examples", "encoder")
"""Methods that choose among settings of their own by measuring."""


class MatchConfig(Table, frozen=True, kw_only=True):
    """`[[data.match]]`: what selects the requests of one task; with several tables, one that fits is enough.

    Texts are compared with their white space collapsed; of a long one the first 6,000 and the last 2,000 characters.
    `init --task` writes it.
    """

    kind: Literal["chat", "completions", "embeddings"] = "chat"
    """Which API is asked."""
    model: str | None = None
    """The model that is asked, as the requests spell it (default: any)."""
    tools: tuple[str, ...] | None = None
    """Names of the tools that are offered, all of them; an empty list is none, `["*"]` any but none (default: any or
    none). A later step of an agent that offers none counts by what its history calls."""
    form: str | None = None
    """Form of answer asked for: a schema's name, `json_object`, or `text` (default: any)."""
    system: tuple[str, ...] | None = None
    """Constant pieces of the instructions, in order; an empty list: any instructions (default: none are there)."""
    user: tuple[str, ...] = ()
    """Constant pieces of the first user turn, in order."""
    without: tuple[tuple[str, ...], ...] = ()
    """Pieces that mark another task: a request that holds all of one of these lists, in order, is left out."""


class DataConfig(Table, frozen=True, kw_only=True):
    """`[data]`: where traces come from. `files` are relative to `freehold.toml`.

    `format` is told from the content when ``auto``. For ``columns``
    (tables, or JSON lines without messages) `input` and `label` name the columns, and `system` is the instruction put
    before each input. `held_out_files` are kept for evaluation whole, and then nothing of `files` is unless `held_out`
    says so.
    """

    files: tuple[str, ...] = ()
    """Log files to import."""
    held_out_files: tuple[str, ...] = ()
    """Files kept for evaluation whole."""
    format: str = "auto"
    """Format of the files: `auto`, or a name that `freehold init --help` lists."""
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
    unlabelled: bool = False
    """Take in messages without an answer, too: rows of tables are kept that would be rejected, and encoders learn from
    them and from captured ones where labels have few samples."""
    held_out: ShareBelowOne | None = None
    """Share of groups held out for evaluation (default: 0.2; 0.95 where nothing is learned, chosen or calibrated; 0
    where there are `held_out_files`)."""
    validation: ShareBelowOne | None = None
    """Share of the remaining groups kept to choose among candidates and to watch training (default: what choosing is
    worth at this margin, from 0.05 to 0.25; 0.05 where there is nothing to choose)."""
    limit: int | None = None
    """At most this many training samples."""
    held_out_limit: int | None = None
    """At most this many held-out samples."""
    match: tuple[MatchConfig, ...] = ()
    """Which requests of the files and of captured traffic are this project's task (default: all)."""


PersonalData = Literal["auto", "library", "patterns", "off"]


class CurateConfig(Table, frozen=True, kw_only=True):
    """`[curate]`: what `freehold dataset build` does to samples. Keys, tokens and passwords in URLs are always
    replaced (more kinds with the extra `pii`)."""

    personal_data: PersonalData = "auto"
    """Replace personal data by placeholders, the same for the same value: `library` (Presidio, extra `pii`), `patterns`
    (built in), `off`; `auto` takes the library where it is installed."""
    near_duplicates: Annotated[float, Meta(ge=0, le=1, description="0 (off) or from 0.3 to 1")] = 0.8
    """From this similarity on (share of common pieces of text, 0 to 1) two questions are the same, and what differs in
    one garbled, missing or added word from what is held out is not taught; 0 compares only exactly."""


class DeferConfig(Table, frozen=True, kw_only=True):
    """`[defer]`: what a candidate answers that is sure of some requests, while the incumbent answers the rest.

    Requests are declared by what they carry, all of it at once: fields of their metadata, `header:NAME`, or `key` (the
    name of an API key).
    """

    least_share: Annotated[float, Meta(gt=0, le=1, description="above 0, up to 1 (0.2 is a fifth)")] = 0.2
    """Smallest share answered here that is worth it, the first that is tested; 1 plans no mixture."""
    upper: str | None = None
    """A larger model of your own that answers what the candidate is not sure of, in the incumbent's place: one of
    `[[endpoints]]` (`NAME`, or `NAME/MODEL`), or one of `[[candidates]]` that runs behind one, by its name or model.
    The loss stays measured against the incumbent."""
    always_incumbent: tuple[dict[str, str], ...] = ()
    """Requests that the candidate never answers: `[{ language = "ja" }, { tier = "gold", kind = "legal" }]`."""
    never_defer_out: tuple[dict[str, str], ...] = ()
    """Requests that never leave the house: the candidate answers them, sure or not."""
    recheck_share: Share = 0.02
    """Share of the candidate's sure answers that the incumbent is asked again, to watch over the mixture."""
    recheck_usd_per_month: Decimal = Decimal(10)
    """Most that this may cost in a calendar month."""


class ImproveConfig(Table, frozen=True, kw_only=True):
    """`[improve]`: how the next generation of a promoted model is proven."""

    audit_share: Annotated[float, Meta(gt=0, le=1, description="above 0, up to 1 (0.05 is a twentieth)")] = (
        0.05
    )
    """Random share of all requests that the incumbent answers as well: only these prove."""
    budget_usd: Decimal = Decimal(5)
    """Most that the incumbent's answers for one generation may cost."""
    error: Annotated[float, Meta(gt=0, lt=0.5, description="above 0, below 0.5")] = 0.05
    """Largest chance that any generation ever served breaks its promise, over all there will be."""


RetentionDays = Annotated[float, Meta(gt=0, le=36_500, description="above 0, up to 36,500 (100 years)")]
RetentionMib = Annotated[float, Meta(gt=0, le=2**40, description="above 0")]
CaptureMode = Literal["off", "raw", "patterns", "pii"]


class PriceConfig(Table, frozen=True, kw_only=True):
    """What an endpoint charges, in dollars per million tokens, where its maker's list price does not hold."""

    prompt: Decimal
    """Prompt tokens."""
    completion: Decimal
    """Completion tokens."""
    cached_prompt: Decimal | None = None
    """Prompt tokens the maker had in its cache (default: as `prompt`)."""
    cache_write: Decimal | None = None
    """Prompt tokens the maker put into its cache (default: as `prompt`)."""


class EndpointConfig(Table, frozen=True, kw_only=True):
    """`[[endpoints]]`: APIs that routes may name, besides `incumbent` (from `[incumbent]`) and `local` (what
    `freehold up` serves)."""

    name: str
    """How routes call it."""
    base_url: str = ""
    """Address of its API, as its documentation gives it to clients; a host alone means `/v1` there."""
    preset: str | None = None
    """A vendor whose base URL, API and key header are known, as in `[incumbent]`."""
    api: Literal["openai", "anthropic"] = "openai"
    """What it speaks."""
    api_key_env: str | None = None
    """Name of the environment variable that holds its key, never the key."""
    credentials: CloudCredentials | None = None
    """`aws`, `google` or `azure`, as in `[incumbent]`."""
    forward_client_key: bool = False
    """Send it the keys and the organisation and project headers that clients send: to this host, and only where
    `api_key_env` names no key of its own and the gateway asks for none. Otherwise only `incumbent` gets them."""
    models: tuple[str, ...] = ()
    """Model names it serves, reachable by those names without a route. Empty: it answers only what a route sends it;
    `["*"]`: any name that nothing else answers to."""
    context_tokens: int | None = None
    """Tokens of its context, question and answer together."""
    price: PriceConfig | None = None
    """`{ prompt = 2.5, completion = 10 }`: dollars per million tokens, where the list price does not hold."""


class RouteConfig(RouteTerms, Table, frozen=True, kw_only=True):
    """`[[routes]]`: who answers for a model's name. Read when the gateway starts and whenever the file is saved; what
    was changed since by `freehold routes` or a rollout stays until the route's own lines change."""

    headers: dict[str, str] = {}
    """Only requests with these headers."""
    keys: tuple[str, ...] = ()
    """Only requests with these API keys (their names)."""


class CaptureConfig(Table, frozen=True, kw_only=True):
    """`[capture]`: which traces the gateway keeps, and for how long."""

    mode: CaptureMode = "off"
    """`off`, `raw` (as they are), `patterns` (e-mail addresses, cards, phone numbers … replaced) or `pii` (a library
    looks for names as well)."""
    opt_out: bool = False
    """A client may leave a request out, by the header `x-freehold-capture: off`."""
    retention_days: RetentionDays | None = None
    """Older traces are forgotten. Left out: traces are kept for ever."""
    retention_mib: RetentionMib | None = None
    """The oldest traces are forgotten beyond this size."""


class RolloutConfig(Table, frozen=True, kw_only=True):
    """`[rollout]`: how traffic is shifted."""

    shadow: float = 0.2
    """Share of requests mirrored to the candidate."""
    canary: tuple[float, ...] = (0.01, 0.1, 0.5)
    """Shares of traffic, one stage after another."""
    max_p95_ms: float | None = None
    """Slowest 95th percentile accepted, in milliseconds."""
    errors_below: Annotated[float, Meta(gt=0, lt=1, description="between 0 and 1 (0.02 is 2 %)")] = 0.02
    """Share of the candidate's requests that may fail, and of its answers that may break their schema: above it the
    rollout goes back, and promotion waits until each is shown to be below."""
    users_a_stage: AtLeastOne = 50
    """Users to be seen in a stage before the next one is allowed."""
    hours_a_stage: NotNegative = 24.0
    """Hours that a stage lasts at least: traffic of the night is not that of the day."""


class WatchConfig(Table, frozen=True, kw_only=True):
    """`[watch]`: looking after a candidate that was promoted."""

    every_hours: Positive = 168.0
    """How often it is checked again."""
    budget_usd: Decimal = Decimal(1)
    """Most that one check of 50 requests may cost; fewer are asked when it does not suffice."""
    on_alarm: Literal["auto", "report", "shadow", "rollback"] = "auto"
    """What happens on an alarm besides telling: `auto` lets the incumbent answer everything of a mixture, and moves
    nothing of a candidate that answers alone; `report` moves nothing."""
    webhook_env: str | None = None
    """Name of the environment variable with an address that gets each alarm as JSON."""


_APART = "serve it apart (freehold serve, vLLM, another machine), and give it that one of [[endpoints]]"


def endpoint_of_upper(name: str, candidates: Sequence[CandidateConfig], endpoints: Collection[str]) -> str:
    """`name` as ``ENDPOINT`` or ``ENDPOINT/MODEL``: it stands for one of the `endpoints`, or for a candidate, by its
    name or, where one alone has it, by its model.

    Raises `ConfigError` for a name that is neither or more than one, and for a candidate that cannot answer in the
    incumbent's place: one without an address, one that is asked otherwise than a request comes, the only one.
    """
    is_endpoint = name in endpoints or name.partition("/")[0] in endpoints
    named = [one for one in candidates if one.name == name]
    if is_endpoint and named:
        raise ConfigError(
            f"defer.upper {name!r} names one of [[endpoints]] and a candidate ({named[0].model})",
            hint="give the candidate another name, or write ENDPOINT/MODEL",
        )
    if is_endpoint:
        return name
    named = named or [one for one in candidates if one.model == name]
    if not named:
        known = sorted({*endpoints, *(one.name or one.model for one in candidates)})
        raise ConfigError(
            f"defer.upper {name!r} is not one of [[endpoints]] nor of [[candidates]]",
            hint=did_you_mean(name, known, "add [[endpoints]] with that name and its base_url"),
        )
    if len(named) > 1:
        raise ConfigError(
            f"defer.upper {name!r} stands for {len(named)} candidates", hint="give each a name of its own"
        )
    return _address(name, named[0], only=len(candidates) == 1)


def _address(name: str, candidate: CandidateConfig, *, only: bool) -> str:
    """Where a candidate answers. Raises `ConfigError` where it cannot be the upper model."""
    if only:
        raise ConfigError(
            f"defer.upper {name!r} is the only candidate: it would leave what it is not sure of to itself",
            hint="name a larger model: another candidate behind an address, or one of [[endpoints]]",
        )
    if candidate.endpoint is None:
        raise ConfigError(
            f"defer.upper {name!r} is a candidate that runs on this machine, and the upper model is asked by its "
            "address",
            hint=_APART,
        )
    if candidate.method not in (None, "as_is"):
        raise ConfigError(
            f"defer.upper {name!r} is a candidate of method {candidate.method}: the gateway asks an upper model as the "
            "request comes, which is not how that candidate is measured",
            hint="a candidate of the same model with method as_is, or ENDPOINT/MODEL",
        )
    return f"{candidate.endpoint}/{candidate.model}"


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
    """What becomes of everything else an application asks (other models, files, images, audio, batches …):
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
    parallel: AtLeastOne = 4
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
    improve: ImproveConfig = ImproveConfig()

    @property
    def models(self) -> tuple[str, ...]:
        """The models it names as candidates, each once; the default one where it leaves them to freehold."""
        return tuple(dict.fromkeys(one.model for one in self.named))

    @property
    def named(self) -> tuple[CandidateConfig, ...]:
        """The candidates it names; the default model where it leaves them to freehold."""
        return self.candidates or (CandidateConfig(model=DEFAULT_MODEL),)

    @property
    def engine(self) -> EngineKind:
        """What serves candidates here: llama.cpp unless it names another engine."""
        return ENGINE_KINDS["llamacpp" if self.serve.engine == "auto" else self.serve.engine]

    def method_of(self, candidate: CandidateConfig) -> MethodName:
        """How a candidate is made: as it says, else asked as it is where its weights are elsewhere, else trained."""
        elsewhere = candidate.endpoint is not None or self.engine.brings_weights
        return candidate.method or ("as_is" if elsewhere else self.train.method)

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
        return tuple(one for one in self.named if one.endpoint is None)

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
        return record.read(raw, FinetuneConfig, f"candidate {candidate.model}: train")
