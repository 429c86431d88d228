"""Where vendors of rented models are asked (`vendors.toml`): what ``preset`` stands for in ``freehold.toml``; and who
publishes open weights, under which names on the hub (`publishers.toml`).
"""

from __future__ import annotations

import datetime
import functools
from datetime import date
from typing import Literal, TypeVar

import msgspec

from freehold.catalog import tables
from freehold.errors import ConfigError, did_you_mean
from freehold.types.config import EndpointConfig, IncumbentConfig, ProjectConfig
from freehold.types.endpoint import Dialect

_Table = TypeVar("_Table", IncumbentConfig, EndpointConfig)


class Vendor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[vendors]]` table: the base URL its documentation gives, and the whole address of a chat below it."""

    name: str
    api: Literal["openai", "anthropic"] = "openai"
    dialect: Dialect | None = None
    base_url: str
    chat: str
    source: str
    checked: datetime.date

    @property
    def is_own(self) -> bool:
        """Whether each customer has an address of its own there."""
        return "{" in self.base_url


@functools.cache
def vendors() -> dict[str, Vendor]:
    """All vendors, by name."""
    return {one.name: one for one in tables("vendors.toml", Vendor)}


def vendor(name: str, where: str) -> Vendor:
    """The vendor of a name that stands `where` in the file. Raises `ConfigError` for a name that is not known."""
    known = vendors()
    if name not in known:
        hint = did_you_mean(name, known, f"known: {', '.join(known)}; others need base_url alone")
        raise ConfigError(f"{where} is {name}, which is not a vendor known here", hint=hint)
    return known[name]


def with_addresses(config: ProjectConfig) -> ProjectConfig:
    """The configuration with the addresses and APIs that its presets stand for.

    Raises `ConfigError` for a preset that is not known, and for an endpoint without an address.
    """
    incumbent = config.incumbent
    if incumbent is not None and incumbent.preset is not None:
        incumbent = _with_address(incumbent, "[incumbent]")
    endpoints = tuple(_with_address(one, f"endpoint {one.name}") for one in config.endpoints)
    if incumbent is config.incumbent and endpoints == config.endpoints:
        return config
    return msgspec.structs.replace(config, incumbent=incumbent, endpoints=endpoints)


def _with_address(table: _Table, where: str) -> _Table:
    if table.preset is None:
        if not table.base_url:
            raise ConfigError(f"{where} has no base_url", hint="give its address, or the preset of a vendor")
        return table
    known = vendor(table.preset, f"{where}: preset")
    if table.base_url:
        return msgspec.structs.replace(table, api=known.api)
    if known.is_own:
        raise ConfigError(
            f"{where}: each customer of {known.name} has an address of its own",
            hint=f'base_url = "{known.base_url}"',
        )
    return msgspec.structs.replace(table, api=known.api, base_url=known.base_url)


class PublisherRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[publishers]]` table."""

    name: str
    owners: tuple[str, ...]
    source: str
    checked: date


def publishers() -> tuple[PublisherRow, ...]:
    """All rows, in file order."""
    return tables("publishers.toml", PublisherRow)
