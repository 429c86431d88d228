"""The configuration of LiteLLM's proxy, `config.yaml`: its deployments as endpoints, its groups as routes.

Source of the shape: docs.litellm.ai/docs/proxy/configs and /config_settings (read 2026-11-29) and the example files of
BerriAI/litellm, folder `litellm/proxy/example_config_yaml`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from freehold.catalog.vendors import vendors
from freehold.errors import InputError, UsageError, did_you_mean
from freehold.types.record import Record
from freehold.visible import one_line
from freehold.workflows.journey.converting.reading import Source

Table = dict[str, Any]
REFERENCE = re.compile(r"os\.environ/([A-Za-z_][A-Za-z0-9_]{0,120})")
_CHAT = (None, "chat", "completion", "responses", "embedding")
_VENDORS = {"fireworks_ai": "fireworks", "together_ai": "together"}
"""Vendors that freehold knows by another name."""
_OWN = {
    "hosted_vllm": "http://localhost:8000/v1",
    "lm_studio": "http://localhost:1234/v1",
    "llamafile": "http://localhost:8080/v1",
    "xinference": "http://localhost:9997/v1",
    "ollama": "http://localhost:11434",
    "ollama_chat": "http://localhost:11434",
}
"""Engines that one runs oneself, and where each listens unless it is told otherwise."""
_CLOUDS = {
    "bedrock": 'write [[endpoints]] with preset = "bedrock" (or "bedrock-mantle"), the region\'s base_url, and '
    'credentials = "aws", or api_key_env for a Bedrock API key',
    "vertex_ai": 'write [[endpoints]] with preset = "vertex", the base_url of your project and location, and '
    'credentials = "google"',
    "sagemaker": "freehold asks OpenAI-, Anthropic- and Ollama-compatible APIs only",
}
_BUDGET = "budgets are of keys and their labels: freehold keys limit --label LABEL usd_per_month=…"
_FITS = "a prompt that is too long is sent where it fits, by context_tokens"
_REQUESTS = "a setting of requests is the application's: freehold adds none"
_LACKING = {
    "general_settings": "keys are made by commands: freehold keys add NAME; FREEHOLD_DATABASE_URL names a database",
    "environment_variables": "set them where freehold runs",
    "guardrails": "freehold checks answers by schema and redacts what it captures; nothing else of guardrails",
    "mcp_servers": "the gateway passes tools through and serves none",
    "routing_strategy": "traffic is not spread over deployments: the first answers, the others take over",
    "max_budget": _BUDGET,
    "budget_duration": _BUDGET,
    "context_window_fallbacks": _FITS,
    "content_policy_fallbacks": _FITS,
    "temperature": _REQUESTS,
    "max_tokens": _REQUESTS,
}
"""Why a key has no counterpart, by the last part of its name."""
_LONGEST_NAME = 60
_MOST_TARGETS = 20_000
_MOST_UNREAD = 40


class Mapped(Record, frozen=True, kw_only=True):
    """Something of the file and what it became."""

    source: str
    """Where it stands in the file."""
    target: str
    """The table or key of `freehold.toml`."""


class Unmapped(Record, frozen=True, kw_only=True):
    """Something of the file that has no counterpart, and why, or what to do instead."""

    source: str
    why: str


class Variable(Record, frozen=True, kw_only=True):
    """An environment variable to set. `source` is where its value stands in the file, where it does."""

    name: str
    source: str | None


class VendorAddress(NamedTuple):
    """Where a model is asked. Two deployments with the same address are one endpoint. `price` is dollars per million
    tokens, of the prompt and of the completion."""

    preset: str | None = None
    base_url: str | None = None
    api: str = "openai"
    api_key_env: str | None = None
    price: tuple[Decimal, Decimal] | None = None

    @property
    def title(self) -> str:
        """A name for the endpoint: the vendor's, or the host's."""
        if self.preset is not None and (self.base_url is None or self.preset != "azure"):
            return self.preset
        host = urlsplit(self.base_url or "").hostname or "endpoint"
        local = "ollama" if self.api == "ollama" else "local-engine"
        return local if host in ("localhost", "127.0.0.1", "host.docker.internal") else host.split(".")[0]

    def keys(self) -> Table:
        """The same as keys of `[incumbent]` or `[[endpoints]]`."""
        speaks = self.api if self.preset is None and self.api != "openai" else None
        price = None if self.price is None else dict(zip(("prompt", "completion"), self.price, strict=True))
        return {"preset": self.preset, "base_url": self.base_url, "api": speaks, "api_key_env": self.api_key_env,
                "price": price}  # fmt: skip


class Deployment(NamedTuple):
    """One entry of `model_list` that freehold can ask; without `model` for the name that clients send."""

    group: str
    address: VendorAddress
    model: str | None
    limits: dict[str, int | None]
    first_byte_ms: Decimal | None
    source: str


def recognises(document: Any) -> bool:
    """Whether this is such a file."""
    listed = document.get("model_list")
    return isinstance(listed, list) and any(
        isinstance(one, dict) and isinstance(one.get("litellm_params"), dict) for one in listed
    )


class ConvertedTables:
    """What became of one document. No value of a key ever gets in here: a key that stands in the file becomes the name
    of a variable, which is none of those that the file refers to."""

    def __init__(self, document: dict[str, Any], path: str, incumbent: str | None) -> None:
        self.incumbent: Table = {}
        self.endpoints: dict[VendorAddress, Table] = {}
        self.routes: list[Table] = []
        self.mapped: list[Mapped] = []
        self.assumed: dict[str, None] = {}
        self.unmapped: dict[str, str] = {}
        self.environment: dict[str, Variable] = {}
        self._path = path
        self._incumbent_at: VendorAddress | None = None
        self._keys: dict[str, str] = {}
        self._referred = set(_references(document))
        self._targets = 0
        root = Source(document)
        self._groups: dict[str, list[Deployment]] = {}
        for entry in root.parts("model_list"):
            if (made := self._deployment(entry)) is not None:
                self._groups.setdefault(made.group, []).append(made)
        self._settings = [
            one for key in ("litellm_settings", "router_settings") if (one := root.part(key)) is not None
        ]
        self._set_incumbent(incumbent)
        self._all_routes()
        rest = [one for one in root.unread() if one not in self.unmapped]
        for where in rest[:_MOST_UNREAD]:
            self.unmapped[where] = _LACKING.get(where.rpartition(".")[2], "freehold has nothing of the kind")
        if rest[_MOST_UNREAD:]:
            self.unmapped["others"] = f"{len(rest) - _MOST_UNREAD:,} settings more that freehold lacks, too"

    def _deployment(self, entry: Source) -> Deployment | None:
        params = entry.part("litellm_params")
        group, model = entry.text("model_name"), params.text("model") if params is not None else None
        info = entry.part("model_info") or Source({})
        mode = info.text("mode")
        if group is None or params is None or model is None:
            why = "an entry without model_name, or without model in its litellm_params"
        elif mode not in _CHAT:
            why = f"models of the mode {mode} are passed on to the incumbent, without a route"
        elif group not in ("*", "openai/*") and "*" in group:
            why = "routes are for a model's whole name, or for * (any)"
        else:
            vendor, name = _vendor_and_name(model, params)
            address = _address(vendor, name, params)
            if address is not None:
                return Deployment(
                    group="*" if group == "openai/*" else group,
                    address=address._replace(
                        price=_price(params, info), api_key_env=self._key(vendor, params)
                    ),
                    model=None if name == "*" else name,
                    limits={
                        "requests_per_minute": _whole(params, "rpm") or _whole(entry, "rpm"),
                        "tokens_per_minute": _whole(params, "tpm") or _whole(entry, "tpm"),
                    },
                    first_byte_ms=_milliseconds(params.number("stream_timeout")),
                    source=entry.path,
                )
            why = next(
                (way for cloud, way in _CLOUDS.items() if vendor.startswith(cloud)),
                "the file does not say at which address this provider is asked",
            )
        self.unmapped[entry.path] = why
        return None

    def _key(self, vendor: str, params: Source) -> str | None:
        """The environment variable with a deployment's key: the one that the file refers to, else the vendor's usual
        one. A key that stands in the file itself is left there, and the variable is one to set."""
        known = _known(vendor)
        usual = None if known is None else f"{'azure_openai' if known == 'azure' else known}_api_key".upper()
        text = params.text("api_key") or ""
        if text.lower() in ("", "none"):
            if vendor in _OWN or usual is None or "api_base" in params:
                return None
            self.environment.setdefault(usual, Variable(name=usual, source=None))
            return usual
        if reference := REFERENCE.fullmatch(text):
            self.environment.setdefault(reference[1], Variable(name=reference[1], source=None))
            return reference[1]
        if text not in self._keys:
            name = _unique(usual or "MODEL_API_KEY", {*self._keys.values(), *self._referred}, "_")
            self._keys[text] = name
            self.environment[name] = Variable(name=name, source=params.at("api_key"))
        return self._keys[text]

    def _set_incumbent(self, wanted: str | None) -> None:
        """Say who is paid for today. Raises `UsageError` for a name that is not one of the file's: a proof against
        another model would be worthless."""
        groups = self._groups
        named = [group for group, (first, *_) in groups.items() if first.model is not None]
        if not groups or (wanted is None and not named):
            return
        if wanted is None and len(named) > 1:
            self.assumed[
                f"{named[0]} is the model to leave, as the first of the list; --incumbent names another"
            ] = None
        first = groups.get(wanted or named[0], groups.get("*", [None]))[0]
        if first is None:
            raise UsageError(
                f"--incumbent {wanted}: the file has nothing of this name",
                hint=did_you_mean(
                    str(wanted), groups, f"it has: {one_line(', '.join([*groups][:20]))[:400]}"
                ),
            )
        self._incumbent_at = first.address
        self.incumbent = {"model": first.model or wanted, **first.address.keys()}
        if first.address.api == "ollama":
            self.incumbent |= {
                "api": None,
                "base_url": f"{(first.address.base_url or '').rstrip('/')}/v1",
            }
        self.mapped.append(Mapped(source=first.source, target="[incumbent]"))

    def _all_routes(self) -> None:
        fallbacks = self._fallbacks()
        for group, deployments in self._groups.items():
            after = [*fallbacks.get(group, []), *(one for one in fallbacks.get("*", []) if one != group)]
            others = [one for name in after for one in self._groups.get(name, [])]
            where = ", ".join(one.source for one in deployments)
            wait = deployments[0].first_byte_ms
            if any(one.first_byte_ms not in (None, wait) for one in deployments):
                self.unmapped[f"stream_timeout of {where}"] = "a route waits as long for each deployment"
            self._route(group, [*deployments, *others], where, first_byte_ms=wait,
                        limits=self._limits(deployments, where))  # fmt: skip
        for settings in self._settings:
            listed = settings.part("model_group_alias") or Source({})
            for alias in listed:
                group = listed.text(alias) or (listed.part(alias) or Source({})).text("model") or ""
                if group in self._groups and alias not in self._groups:
                    self._route(alias, self._groups[group], listed.at(alias))
                else:
                    self.unmapped[listed.at(alias)] = "an alias of a model that the file does not list"
        if any(len(found) > 1 for found in self._groups.values()):
            self.assumed[
                "of several deployments of a model the first answers and the others take over when it cannot be "
                "reached: traffic is not spread over them"
            ] = None

    def _route(self, model: str, asked: list[Deployment], source: str, **more: Any) -> None:
        """A route for a model's name: the first of `asked` answers, the others where it cannot be reached."""
        self._targets += len(asked)
        if self._targets > _MOST_TARGETS:
            raise InputError(
                f"its fallbacks unfold to more than {_MOST_TARGETS:,} targets, which no configuration's do",
                path=self._path,
            )
        first, *others = dict.fromkeys((self._endpoint(one.address), one.model) for one in asked)
        name = _unique(_plain(model) if model != "*" else "all", [one["name"] for one in self.routes])
        fallback = [{"endpoint": endpoint, "model": model} for endpoint, model in others]
        self.routes.append(
            {"name": name, "model": model, "incumbent": {"endpoint": first[0], "model": first[1]}}
            | {"fallback": fallback, **more}
        )
        self.mapped.append(Mapped(source=source, target=f"[[routes]] {name}"))

    def _endpoint(self, address: VendorAddress) -> str:
        """The name of the endpoint with this address; `incumbent` for the one that is paid for."""
        if address == self._incumbent_at:
            return "incumbent"
        if address not in self.endpoints:
            used = {"incumbent", "local", *(one["name"] for one in self.endpoints.values())}
            self.endpoints[address] = {"name": _unique(_plain(address.title), used), **address.keys()}
        return str(self.endpoints[address]["name"])

    def _limits(self, deployments: list[Deployment], where: str) -> dict[str, int]:
        limits: dict[str, int] = {}
        for name in deployments[0].limits:
            known = [value for one in deployments if (value := one.limits[name]) is not None]
            if len(known) == len(deployments):
                limits[name] = sum(known)
            elif known:
                self.unmapped[f"{name} of {where}"] = "only some say it: a route's limits are for all of them"
        if limits and len(deployments) > 1:
            self.assumed["the limits of a group's deployments are added up to the route's"] = None
        return limits

    def _fallbacks(self) -> dict[str, list[str]]:
        """Which groups follow which; under `*` those of every group."""
        found: dict[str, list[str]] = {}
        for settings in self._settings:
            for listed in settings.parts("fallbacks"):
                for group in listed:
                    found.setdefault(group, []).extend(map(str, listed.take(group, list) or ()))
            found.setdefault("*", []).extend(map(str, settings.take("default_fallbacks", list) or ()))
        for name in dict.fromkeys(one for others in found.values() for one in others):
            if name not in self._groups:
                self.unmapped[f"fallbacks to {name}"] = "it is not among the models that were converted"
        return found


def _vendor_and_name(model: str, params: Source) -> tuple[str, str]:
    """The provider that LiteLLM takes (what stands before the first slash, else whose the name is), and the model's
    name there."""
    prefix, slash, _ = model.partition("/")
    is_one = slash and (_known(prefix) or prefix in _OWN or prefix in _CLOUDS or "api_base" not in params)
    usual = "anthropic" if model.startswith("claude") else "openai"
    vendor = params.text("custom_llm_provider") or (prefix if is_one else usual)
    return vendor.lower(), model.removeprefix(f"{vendor}/")


def _known(vendor: str) -> str | None:
    """The vendor that freehold knows by LiteLLM's name; None for one that it does not know."""
    name = _VENDORS.get(vendor, vendor)
    return name if name in vendors() else None


def _address(vendor: str, deployment: str, params: Source) -> VendorAddress | None:
    """Where a provider is asked. None where the file does not say: an unknown provider without an address, an address
    in a variable, and vendors at which each customer has one of its own (Azure, Bedrock, Vertex) without it."""
    written = params.text("api_base") or params.text("base_url")
    url = clean_url(written)
    known = _known(vendor)
    if vendor in _CLOUDS or (written is not None and url is None):
        return None
    if vendor in _OWN:
        return VendorAddress(
            base_url=url or _OWN[vendor], api="ollama" if vendor.startswith("ollama") else "openai"
        )
    if known is None:
        return None if url is None else VendorAddress(base_url=url)
    if known == "azure":
        return _azure(url, deployment, params.text("api_version"))
    of = vendors()[known]
    if url is None or url == of.base_url.rstrip("/"):
        return None if of.is_own else VendorAddress(preset=known, api=of.api)
    if known in ("openai", "anthropic"):  # a proxy, or another engine, that speaks the vendor's API
        return VendorAddress(base_url=url, api=of.api)
    return VendorAddress(preset=known, base_url=url, api=of.api)


def _azure(url: str | None, deployment: str, version: str | None) -> VendorAddress | None:
    """A deployment of Azure OpenAI. None without the resource's address."""
    if url is None or not re.fullmatch(r"[\w.-]{1,100}", deployment):
        return None
    base, _, query = url.partition("?")
    if "/openai/deployments/" not in base:
        base = f"{base.removesuffix('/openai')}/openai/deployments/{deployment}"
    if version is not None:
        query = urlencode({"api-version": version})
    return VendorAddress(preset="azure", base_url=f"{base}?{query}" if query else base)


def clean_url(url: str | None) -> str | None:
    """An address without user, password and whatever stands behind the path, in which keys are sent; an API's version
    stays. None for what is not an http or https address."""
    try:
        parts = urlsplit((url or "").strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host or re.search(r"[\s{}$]", url or ""):
        return None
    place = f"[{host}]" if ":" in host else host
    place += f":{port}" if port is not None else ""
    kept = [(name, value) for name, value in parse_qsl(parts.query) if name == "api-version"]
    path = re.sub(r"/(?:chat/)?completions/?$", "", parts.path).rstrip("/")
    return urlunsplit((parts.scheme, place, path, urlencode(kept), ""))


def _price(*sources: Source) -> tuple[Decimal, Decimal] | None:
    """Dollars per million tokens, where both are said."""
    asked, said = (
        next((price for source in sources if (price := source.number(key)) is not None), None)
        for key in ("input_cost_per_token", "output_cost_per_token")
    )
    return None if asked is None or said is None else (asked * 1_000_000, said * 1_000_000)


def _whole(source: Source, key: str) -> int | None:
    number = source.number(key, whole=True)
    return None if number is None else int(number)


def _milliseconds(seconds: Decimal | None) -> Decimal | None:
    return seconds * 1000 if seconds is not None and Decimal("0.001") <= seconds <= 3600 else None


def _references(value: Any) -> Iterable[str]:
    """The environment variables that a document refers to, wherever. Its size was bounded when it was read."""
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _references(one)
    if isinstance(value, str) and (reference := REFERENCE.fullmatch(value.strip())):
        yield reference[1]


def _plain(text: str) -> str:
    """A text as a name that commands and metrics can say."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_LONGEST_NAME].strip("-") or "other"


def _unique(name: str, used: Iterable[str], before: str = "-") -> str:
    """The name, with a number behind it where it is taken."""
    taken = set(used)
    made, number = name, 2
    while made in taken:
        made, number = f"{name}{before}{number}", number + 1
    return made
