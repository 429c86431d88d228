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
        listed = await _models(options)
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


async def _models(options: RemoteOptions) -> list[str] | None:
    """Model ids the endpoint lists; None when it has no list. Raises `EngineError` when it refuses the request."""
    url = joined(options.base_url, "/v1/models", api=options.api)
    asked = Endpoint(
        name=options.base_url,
        engine="remote",
        base_url=options.base_url,
        api=options.api,
        api_key_env=options.api_key_env,
    )
    headers = await OwnCredentials(asked).headers("GET", url)
    try:
        answer: Any = await supervisor.get_json(url, headers=headers)
    except aiohttp.ClientResponseError as error:
        if error.status == 404:
            log.info("%s lists no models, so the name is not checked", options.base_url)
            return None
        hint = f"check the key in {options.api_key_env}" if error.status in (401, 403) else None
        raise EngineError(f"{url} answered {error.status}", hint=hint) from None
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        reason = str(error) or type(error).__name__
        raise EngineError(f"{options.base_url} cannot be reached: {reason}", hint="check the URL") from None
    except ValueError:
        raise EngineError(f"{url} did not answer with JSON", hint="is it an API of this kind?") from None
    rows = answer.get("data") if isinstance(answer, dict) else None
    return [str(row["id"]) for row in rows if "id" in row] if isinstance(rows, list) else None


ENGINE = RemoteEngine()
