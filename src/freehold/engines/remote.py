"""The remote engine: any OpenAI-compatible or Anthropic endpoint, by URL, with its key by environment name."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any, Literal

import msgspec

from freehold.engines import supervisor
from freehold.engines.constraints import held
from freehold.engines.engine import ConnectedEngine, Presence, RunningEngine, read_options
from freehold.errors import EngineError, UsageError, did_you_mean
from freehold.late import aiohttp
from freehold.settings import Settings
from freehold.signing.clouds import TITLES
from freehold.signing.signer import OwnCredentials
from freehold.types.endpoint import Capabilities, Endpoint, ServedModel, ServePlan
from freehold.types.engine import ENGINE_KINDS
from freehold.wire.base_url import joined, stem

log = logging.getLogger(__name__)


class RemoteOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`base_url` is as its documentation gives it. `api_key_env` names the environment variable with the key.
    `capabilities` says what the endpoint can do, which no list of models tells."""

    base_url: str
    api: Literal["openai", "anthropic"] = "openai"
    api_key_env: str | None = None
    capabilities: Capabilities = Capabilities(tools=True, json_schema=True)
    upstream_name: str | None = None


class RemoteEngine:
    """A connection, not a process."""

    kind = ENGINE_KINDS["remote"]

    def presence(self, settings: Settings) -> Presence:
        return Presence(available=True, note="any OpenAI-compatible or Anthropic endpoint")

    def require(self, options: dict[str, Any], settings: Settings) -> None:
        read_options(options, RemoteOptions, "remote")

    def check(self, plan: ServePlan, settings: Settings) -> None:
        options = read_options(plan.options, RemoteOptions, "remote")
        if not options.base_url.startswith(("http://", "https://")):
            raise UsageError(f"engine remote: base_url is {options.base_url!r}, expected http:// or https://")
        if options.api_key_env and not os.environ.get(options.api_key_env):
            raise UsageError(
                f"the key of {options.base_url} is expected in {options.api_key_env}, which is not set",
                hint=f"export {options.api_key_env}=…",
            )
        if plan.preparation is not None and options.api != "openai":
            raise EngineError(
                f"requests for {plan.model} are to be prepared, and {options.base_url} speaks Anthropic's API",
                hint="only requests in OpenAI's chat API can be prepared: give an address that speaks it",
            )
        if plan.adapters:
            raise EngineError(
                "a remote endpoint cannot be given adapters", hint="name its own models instead of mounting"
            )

    async def start(
        self, plan: ServePlan, *, settings: Settings, log_dir: Path, name: str, key_env: str | None
    ) -> RunningEngine:
        options = read_options(plan.options, RemoteOptions, "remote")
        listed = await listed_models(
            Endpoint(
                name=options.base_url,
                engine="remote",
                base_url=options.base_url,
                api=options.api,
                api_key_env=options.api_key_env,
            )
        )
        upstream = options.upstream_name or plan.model
        if listed is not None and upstream not in listed:
            raise EngineError(
                f"{options.base_url} has no model {upstream}",
                hint=did_you_mean(upstream, listed, f"it has: {', '.join(sorted(listed)[:8])}"),
            )
        log.info("%s: %s at %s", name, upstream, options.base_url)
        return ConnectedEngine(
            Endpoint(
                name=name,
                engine="remote",
                base_url=stem(options.base_url),
                api=options.api,
                models=(held(ServedModel(name=plan.model, upstream_name=upstream), plan),),
                capabilities=_capabilities(plan, options),
                api_key_env=options.api_key_env,
                context_tokens=plan.context_tokens,
            )
        )


def _capabilities(plan: ServePlan, options: RemoteOptions) -> Capabilities:
    """What the endpoint can do. Prepared requests are chat requests, so its own Responses API is left alone then."""
    if plan.preparation is None:
        return options.capabilities
    return msgspec.structs.replace(options.capabilities, responses=False)


async def listed_models(endpoint: Endpoint, *, seconds: float = supervisor.PROBE_SECONDS) -> list[str] | None:
    """Model ids that an endpoint lists; None where it answers and has no list, as many gateways. Raises `EngineError`
    where nothing answers within `seconds`, it refuses the key, or it fails."""
    url = joined(endpoint.base_url, "/v1/models", api=endpoint.api)
    headers = await OwnCredentials(endpoint).headers("GET", url)
    try:
        answer: Any = await supervisor.get_json(url, headers=headers, seconds=seconds)
    except aiohttp.ClientResponseError as error:
        if error.status in (401, 403):
            what = f"{endpoint.base_url} refuses the key (status {error.status})"
            raise EngineError(what, hint=_key_hint(endpoint)) from None
        if error.status >= 500 and error.status != 501:  # 501: there is no such list
            what = f"{endpoint.base_url} answers with status {error.status}"
            raise EngineError(what, hint="try again when it is well") from None
        return None
    except (aiohttp.ClientError, TimeoutError, OSError):
        raise EngineError(
            f"nothing answers at {endpoint.base_url} within {seconds:g} s",
            hint="start it, or mend its address",
        ) from None
    except ValueError:
        return None
    rows = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(rows, list):
        return None
    return [str(row["id"]) for row in rows if isinstance(row, dict) and "id" in row]


def _key_hint(endpoint: Endpoint) -> str:
    if endpoint.api_key_env:
        return f"check the key in {endpoint.api_key_env}"
    if endpoint.credentials is not None:
        return f"check what these credentials of {TITLES[endpoint.credentials]} may do"
    return "name the environment variable that holds the key: api_key_env, --api-key-env NAME"


ENGINE = RemoteEngine()
