"""What each process of a gateway is given of the environment. What is not named here stays with who started it.

The keys of endpoints are for the workers, which ask them. The main process holds them only because it starts workers
again. The recorder, next to the store, has none.
"""

from __future__ import annotations

import os

from freehold.environment import PROXIES, inherited
from freehold.gateway.config import GatewayConfig
from freehold.gateway.telemetry.log_file import ENVIRONMENT_NAME as LOG_FILE
from freehold.types.endpoint import CloudCredentials

_SOURCES: dict[CloudCredentials, tuple[str, ...]] = {
    "aws": ("AWS_*",),
    "google": ("GOOGLE_*", "CLOUDSDK_*", "GCE_METADATA_*", "NO_GCE_CHECK"),
    "azure": ("AZURE_*", "IDENTITY_*", "IMDS_ENDPOINT", "MSI_*"),
}
"""Where the libraries of clouds look for credentials."""


def of_worker(config: GatewayConfig) -> dict[str, str]:
    """The keys of its endpoints, or where the libraries of their clouds look for some; proxies, and where spans go."""
    clouds = {endpoint.credentials for endpoint in config.endpoints} - {None}
    sources = [name for cloud in clouds for name in _SOURCES[cloud or "aws"]]
    keys = [endpoint.api_key_env for endpoint in config.endpoints if endpoint.api_key_env is not None]
    spans = ("OTEL_*",) if config.otel else ()
    return inherited(os.environ, also=(LOG_FILE, *PROXIES, *keys, *spans, *sources))


def of_recorder(config: GatewayConfig) -> dict[str, str]:
    """For a PostgreSQL store what its library looks for: a password may stand there instead of in the address."""
    database = ("PG*",) if (config.store_url or "").startswith("postgres") else ()
    return inherited(os.environ, also=(LOG_FILE, *database))


def of_main(config: GatewayConfig) -> dict[str, str]:
    """What its workers and its recorder will need."""
    return {**of_recorder(config), **of_worker(config)}
