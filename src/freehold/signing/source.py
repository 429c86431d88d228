"""What a source of credentials is."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from freehold.types.endpoint import CloudCredentials

Headers = list[tuple[str, str]]
ANSWERS_WITHIN_S = 10.0
"""How long one answer may take of whom credentials come from. Libraries wait for five minutes, several times over."""
TITLES: dict[CloudCredentials, str] = {"aws": "AWS", "google": "Google Cloud", "azure": "Azure"}


class CredentialError(Exception):
    """There are no credentials to send. Its text is for people and names no secret."""


class Issued(NamedTuple):
    """Credentials as their source gave them. Times are Unix seconds: when to look for newer ones, and when these end
    (None: not known, or never)."""

    value: object
    refresh_s: float
    expires_s: float | None

    def has_ended(self, now_s: float) -> bool:
        return self.expires_s is not None and now_s >= self.expires_s


class CredentialSource(Protocol):
    """One cloud's way to credentials."""

    def fetch(self) -> Issued:
        """Credentials that are good now. Blocks for as long as it takes; called in a thread, never twice at once.
        Raises `CredentialError`, and whatever its library does."""

    def headers(self, value: object, method: str, url: str, headers: Headers, body: bytes) -> Headers:
        """What a request carries because of the `value` of fetched credentials. Does no I/O."""


def reason_of(cloud: CloudCredentials, error: BaseException) -> str:
    """Why there are no credentials, without the words of a library: they may quote what a server said."""
    said = str(error) if isinstance(error, CredentialError) else type(error).__name__
    return f"no credentials of {TITLES[cloud]} can be had ({said})"


def why_ended(cloud: CloudCredentials) -> str:
    """Why credentials that have ended when they come are not used."""
    return f"the credentials that {TITLES[cloud]} gave have ended by this machine's clock"


def refresh_before(now_s: float, expires_s: float) -> float:
    """When to look for newer credentials: four minutes before the end of these, or halfway there for short ones."""
    return max(expires_s - 240.0, (now_s + expires_s) / 2)
