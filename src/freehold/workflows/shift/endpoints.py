"""The endpoints of `freehold.toml` as a gateway gets them, and those whose key is missing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from freehold.errors import ConfigError
from freehold.gateway.config import GatewayConfig
from freehold.types.config import ProjectConfig
from freehold.types.endpoint import Capabilities, Endpoint, ServedModel
from freehold.types.route import Route, Target
from freehold.wire.base_url import stem
from freehold.workflows.serve.names import INCUMBENT

_CAPABILITIES = Capabilities(tools=True, json_schema=True, logprobs=True, embeddings=True)


def configured_endpoints(config: ProjectConfig) -> tuple[Endpoint, ...]:
    """The incumbent, where the file gives its address, and those of ``[[endpoints]]``."""
    endpoints = []
    incumbent = config.incumbent
    if incumbent is not None and incumbent.base_url is not None:
        endpoints.append(
            Endpoint(
                name=INCUMBENT,
                engine="remote",
                base_url=stem(incumbent.base_url),
                api=incumbent.api,
                models=(ServedModel(name=incumbent.model, upstream_name=incumbent.model),),
                capabilities=_CAPABILITIES,
                api_key_env=incumbent.api_key_env,
                # The host that clients asked before there was a gateway.
                forward_client_key=True,
            )
        )
    for table in config.endpoints:
        endpoints.append(
            Endpoint(
                name=table.name,
                engine="remote",
                base_url=stem(table.base_url),
                api=table.api,
                models=tuple(ServedModel(name=name, upstream_name=name) for name in table.models),
                capabilities=_CAPABILITIES,
                api_key_env=table.api_key_env,
                forward_client_key=table.forward_client_key,
                context_tokens=table.context_tokens,
            )
        )
    return tuple(endpoints)


def without_key(endpoints: Iterable[Endpoint]) -> tuple[str, ...]:
    """The endpoints whose key's environment variable is not set: known, not asked, never ready."""
    return tuple(
        endpoint.name
        for endpoint in endpoints
        if endpoint.api_key_env is not None and not os.environ.get(endpoint.api_key_env)
    )


def check_reachable(routes: Iterable[Route], config: GatewayConfig, *, say: Callable[[str], None]) -> None:
    """Tell of endpoints without a key. Raises `ConfigError` for a route on which every answer would need one of them:
    its clients would get errors from a gateway that looks healthy."""
    variables = {endpoint.name: endpoint.api_key_env for endpoint in config.endpoints}
    for route in routes:
        names = [target.endpoint for target in _targets(route)]
        if all(name in config.without_key for name in names):
            name = names[0]
            raise ConfigError(
                f"route {route.name} has no endpoint that can answer: the key of {name} is not in the environment "
                f"({variables[name]} is not set)",
                hint=f"export {variables[name]}=…",
            )
    for name in config.without_key:
        say(f"not ready: the endpoint {name} is not asked, because {variables[name]} is not set")


def _targets(route: Route) -> list[Target]:
    """Who may answer a client on this route, in turn."""
    first = [route.candidate] if route.state == "promoted" and route.candidate is not None else []
    return [*first, route.incumbent, *route.fallback]
