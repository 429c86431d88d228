"""The sources of credentials that are known: one for each cloud, by its maker's library."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterable

from freehold.errors import ConfigError, MissingExtraError
from freehold.signing.aws import AwsSource, signed_for
from freehold.signing.azure import AzureSource
from freehold.signing.google import GoogleSource
from freehold.signing.source import TITLES, CredentialSource
from freehold.types.endpoint import CloudCredentials, Endpoint

_MODULES: dict[CloudCredentials, tuple[str, ...]] = {
    "aws": ("botocore",),
    "google": ("google.auth", "requests"),
    "azure": ("azure.identity",),
}
_LOGGERS: dict[CloudCredentials, tuple[str, ...]] = {
    "aws": ("botocore",),
    "google": ("google",),
    "azure": ("azure", "msal"),
}


def source_of(endpoint: Endpoint) -> CredentialSource:
    """The source of an endpoint's credentials; its library is imported when it fetches.

    What these libraries log of an answer may have a secret in it: they log where FREEHOLD_LOG asks them to.
    """
    for name in () if endpoint.credentials is None else _LOGGERS[endpoint.credentials]:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.CRITICAL)
    match endpoint.credentials:
        case "aws":
            return AwsSource(endpoint.base_url)
        case "google":
            return GoogleSource()
        case "azure":
            return AzureSource()
    raise AssertionError(f"{endpoint.name} names no cloud")


def check_sources(endpoints: Iterable[Endpoint]) -> None:
    """Raises `MissingExtraError` where a cloud's library is not installed, `ConfigError` where it is not said what
    requests are signed for."""
    for endpoint in endpoints:
        cloud = endpoint.credentials
        if cloud is None:
            continue
        if not all(_is_there(module) for module in _MODULES[cloud]):
            raise MissingExtraError(f"endpoint {endpoint.name}, with credentials of {TITLES[cloud]},", cloud)
        if cloud == "aws" and signed_for(endpoint.base_url).region is None:
            raise ConfigError(
                f"endpoint {endpoint.name}: {endpoint.base_url} names no AWS region that requests are signed for",
                hint="export AWS_REGION=…, or give the region's own address",
            )


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
