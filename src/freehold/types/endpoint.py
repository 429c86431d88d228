"""What is to be served, what is being served, and what is done to a request before a model is asked."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from freehold.errors import UsageError
from freehold.types.engine import ENGINE_KINDS, EngineKind, EngineName
from freehold.types.machine import Fit
from freehold.types.record import Record, StoredRecord, content_id

Retriever = Literal["bm25", "encoder"]
ExampleOrder = Literal["nearest_first", "nearest_last"]


class Example(Record, frozen=True, kw_only=True):
    """A training sample as it is shown: what a user asked, and what is answered. `id` is the sample's."""

    id: str
    question: str
    answer: str


class ExampleIndex(Record, frozen=True, kw_only=True):
    """Training samples of which the `k` nearest come before the question, as earlier turns of the conversation.

    No more of them than `context_tokens` hold besides the request and its answer: the farthest are left out first. A
    prompt's tokens are foretold as `tokens_per_byte` of its JSON.
    """

    path: str
    """Folder with the samples and what finds them."""
    sha256: str
    samples: int
    k: int
    order: ExampleOrder = "nearest_last"
    retriever: Retriever = "bm25"
    context_tokens: int = 2048
    answer_tokens: int = 256
    """Room for the answer where the request does not limit it."""
    tokens_per_byte: float = 0.6


class Preparation(StoredRecord, frozen=True, kw_only=True):
    """How requests are prepared for one model. `id` is the content id of everything that changes a request."""

    kind: ClassVar[str] = "preparation"

    id: str
    base_model: str
    dataset_id: str
    system_was: str | None = None
    """The application's system prompt that this was made for. A request with another one is sent as it came. None:
    made for requests without one where `system` is set, else for all."""
    system: str | None = None
    """What stands in its place. None: as the application sent it."""
    examples: ExampleIndex | None = None
    made_from: tuple[str, ...] = ()

    @classmethod
    def of(cls, **fields: Any) -> Preparation:
        """A preparation with these fields and the id they give it. Where its index lies is not part of the id."""
        made = cls(id="", **fields)
        index = made.examples
        plain = (
            made
            if index is None
            else msgspec.structs.replace(made, examples=msgspec.structs.replace(index, path=""))
        )
        return msgspec.structs.replace(made, id=content_id(msgspec.structs.replace(plain, made_from=())))


class ExampleSetting(Record, frozen=True, kw_only=True):
    """One way to show examples, as it was measured: the mean score over the `scored` of `asked` samples. `k` is 0 for
    the model without examples."""

    k: int
    order: ExampleOrder
    asked: int
    scored: int
    mean: float | None


class ExampleChoice(Record, frozen=True, kw_only=True):
    """The setting that was chosen, among which, and how many tokens the engine counted for a byte."""

    k: int
    order: ExampleOrder
    tokens_per_byte: float
    tried: tuple[ExampleSetting, ...] = ()


Api = Literal["openai", "anthropic"]
Dialect = Literal["azure", "bedrock", "gemini"]
CloudCredentials = Literal["aws", "google", "azure"]
"""Whose usual chain of credentials requests are signed with (AWS) or get an access token of (Google Cloud, Azure)."""
ENDPOINT_NAME = "local"
"""What the engine that freehold runs is called, in routes and in traces."""
SLOTS = tuple(f"{ENDPOINT_NAME}-{letter}" for letter in "abcdefgh")
"""The same for the engines of later generations (`freehold.types.slot`): of one route two, in turn."""
INCUMBENT = "incumbent"
"""The same for the API of ``[incumbent]``."""


def is_own(endpoint_name: str) -> bool:
    """Whether an endpoint is an engine that `freehold up` holds for this project."""
    return endpoint_name == ENDPOINT_NAME or endpoint_name in SLOTS


class Capabilities(Record, frozen=True, kw_only=True):
    """What an endpoint can do; checked when a plan is made, never found out by a crash."""

    streaming: bool = True
    tools: bool = False
    json_schema: bool = False
    logprobs: bool = False
    adapters: bool = False
    embeddings: bool = False
    responses: bool = False
    """Has OpenAI's Responses API itself; otherwise the gateway translates it."""
    responses_unknown: bool = False
    """Whether it has that is not known, and is asked before it is needed."""
    stream_usage: bool = True
    """Understands ``stream_options.include_usage``."""


class AdapterMount(Record, frozen=True, kw_only=True):
    """An adapter to serve under its own model name, usually ``base:adapter``."""

    name: str
    path: str
    adapter_id: str | None = None
    base_sha256: str | None = None
    """Hash of the weights it was trained on; refused on weights that are known to be others."""
    chat_template: str | None = None
    """Jinja text it was trained with, where the base's own template loses tools and calls; None otherwise."""


class ServePlan(StoredRecord, frozen=True, kw_only=True):
    """Everything an engine needs to start. `parallel` is the number of requests served at once, each with
    `context_tokens` of context of its own."""

    kind: ClassVar[str] = "serve_plan"

    engine: EngineName
    model: str
    weights_path: str | None = None
    weights_sha256: str | None = None
    adapters: tuple[AdapterMount, ...] = ()
    context_tokens: int = 4096
    parallel: int = 4
    threads: int | None = None
    host: str = "127.0.0.1"
    port: int = 0
    kv_type: str = "f16"
    options: dict[str, Any] = {}
    labels: tuple[str, ...] = ()
    """What its candidate may answer, and nothing else, where the engine can hold it to that. Requests with tools or a
    response format cannot be held so."""
    preparation: Preparation | None = None
    """What is done to chat requests before its candidate is asked."""
    memory: Fit | None = None
    """What it takes of this machine's memory, and the basis of that; None where it cannot be computed."""

    @property
    def memory_bytes(self) -> int:
        """Memory it takes; 0 where nothing is known."""
        return self.memory.total_bytes if self.memory is not None else 0

    @property
    def served_name(self) -> str:
        """The model name its candidate answers to: the adapter's where there is one."""
        return self.adapters[0].name if self.adapters else self.model

    def with_adapters(self, adapters: tuple[AdapterMount, ...]) -> ServePlan:
        """The plan with these adapters, and the chat template that they were taught with in place of the base's.

        Where a conversation has no tools, both write the same. Raises `UsageError` for adapters of different templates.
        """
        taught = {one.chat_template: one.name for one in adapters if one.chat_template is not None}
        if len(taught) > 1:
            raise UsageError(
                f"{' and '.join(sorted(taught.values()))} were trained with different chat templates",
                hint="serve them apart: an engine has one template",
            )
        options = {**self.options, "chat_template": next(iter(taught))} if taught else self.options
        return msgspec.structs.replace(self, adapters=adapters, options=options)

    @property
    def identity(self) -> ServePlan:
        """What of it decides the answers: memory is a finding, and a port may differ at each start."""
        return msgspec.structs.replace(self, memory=None, port=0)

    @property
    def engine_kind(self) -> EngineKind:
        """What is true of its engine."""
        return ENGINE_KINDS[self.engine]

    @property
    def key(self) -> str:
        return content_id(self.identity)

    def candidate_id(self, name: str | None = None) -> str:
        """Content id of what answers under a served `name` (default: the candidate's): weights, adapter, preparation
        and what the engine is told of them. Where files lie, threads and requests at once are no part of it."""
        mount = next((one for one in self.adapters if one.name == (name or self.served_name)), None)
        adapter = None if mount is None else mount.adapter_id or mount.path
        prepared = None if self.preparation is None else self.preparation.id
        decisive = (self.engine, self.weights_sha256 or self.weights_path or self.model, adapter, prepared)
        return content_id((*decisive, self.labels, self.context_tokens, self.kv_type, self.options))


class ServedModel(Record, frozen=True, kw_only=True):
    """One model name an endpoint answers to.

    Who asks it sends what `freehold.preparing.request.asked` makes of a request: llama.cpp selects an adapter with a
    ``lora`` list in the request, so the adapter's name maps to the base's `upstream_name` plus that list in
    `extra_body`; and what its `preparation` says is done to a conversation.
    """

    name: str
    upstream_name: str
    extra_body: dict[str, Any] = {}
    preparation: Preparation | None = None
    adapter_id: str | None = None
    labels: tuple[str, ...] = ()
    """What the engine lets it answer and nothing else, by what `extra_body` says; empty where it answers freely."""
    candidate_id: str | None = None
    """Content id of what answers, from the plan it is served by (`ServePlan.candidate_id`)."""

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of any request that differ at the endpoint."""
        return {"model": self.upstream_name, **self.extra_body}


ANY_MODEL = "*"
"""In place of a model's name: any that nothing else answers to."""
ANY_SERVED = (ServedModel(name=ANY_MODEL, upstream_name=ANY_MODEL),)
"""The `models` of an endpoint that takes every name."""


class Endpoint(Record, frozen=True, kw_only=True):
    """A running API somewhere. Secrets are never stored: `api_key_env` names an environment variable."""

    name: str
    engine: EngineName
    base_url: str
    """As its API's documentation gives it to clients; without a path it is ``/v1`` of that host
    (`freehold.wire.base_url`)."""
    api: Api = "openai"
    models: tuple[ServedModel, ...] = ()
    """The names it answers to without a route; without any it answers only what a route sends it."""
    capabilities: Capabilities = Capabilities()
    api_key_env: str | None = None
    forward_client_key: bool = False
    """Clients mean this host with the keys and account names they send: it is sent them (the key only where
    it has none of its own). No other host is."""
    credentials: CloudCredentials | None = None
    """The cloud that gives its credentials, in the place of `api_key_env`."""
    context_tokens: int | None = None
    dialect: Dialect | None = None
    """The vendor whose own paths and key header it knows besides those of `api`."""

    @property
    def engine_kind(self) -> EngineKind:
        """What is true of its engine."""
        return ENGINE_KINDS[self.engine]

    @property
    def has_own_key(self) -> bool:
        """Whether requests carry credentials of its owner's, so that no client's key is for it."""
        return self.api_key_env is not None or self.credentials is not None

    def served(self, name: str) -> ServedModel | None:
        """The served model of that name, if there is one."""
        # A loop, not `next` of a generator: asked for each request.
        for model in self.models:
            if model.name == name:
                return model
        return None

    def candidate_id(self, name: str) -> str:
        """Content id of what answers here under a name: of its plan, where one serves it; else of the address and the
        name, since nothing more is known of a model that others serve."""
        served = self.served(name)
        if served is not None and served.candidate_id is not None:
            return served.candidate_id
        prepared = None if served is None or served.preparation is None else served.preparation.id
        fields = {"model": name} if served is None else served.fields
        # With or without the version's part: ids that stand in rules of deferral were made without it.
        return content_id((self.engine, self.api, self.base_url.removesuffix("/v1"), fields, prepared))
