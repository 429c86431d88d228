"""What a model cannot answer for its user: one-time codes that are shown on the user's terminal alone.

A tool that acts leaves a request in the project's state folder. `freehold mcp confirm`, which needs a terminal, shows
it to the user and prints a code; the folder gets the code's hash only. The same call with the code is let through once.
A model that may run any command or write any file as its user is that user: this guards against all others.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from freehold import files
from freehold.errors import UsageError
from freehold.types.record import Record, content_id

LASTS = timedelta(minutes=15)
TRIES = 5
_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Without signs that look alike."""


class ConfirmationNeededError(UsageError):
    """The user has to agree first."""

    retryable = True

    def __init__(self, what: str, *, hint: str) -> None:
        super().__init__(f"your user has to confirm this: {what}", hint=hint)


class ConfirmationRequest(Record, frozen=True, kw_only=True):
    """A call that waits for its user. `call` is a hash of the tool and its arguments; `code` that of the code that was
    shown, None before; `tries` counts wrong ones."""

    id: str
    call: str
    tool: str
    what: str
    asked_at: datetime
    code: str | None = None
    tries: int = 0

    def is_over(self, at: datetime) -> bool:
        return at - self.asked_at > LASTS or self.tries >= TRIES


def call_id(tool: str, arguments: dict[str, Any]) -> str:
    """The same for the same tool with the same arguments, whatever the code."""
    return content_id([tool, {name: value for name, value in arguments.items() if name != "confirmation"}])


class Confirmations:
    """The requests in one project's state folder; the server and the terminal each have their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ask(self, tool: str, call: str, what: str, *, at: datetime | None = None) -> ConfirmationRequest:
        """Leave a request, or the one that waits for the same call already."""
        at = at or datetime.now(UTC)
        for one in self.waiting(at=at):
            if one.call == call:
                return one
        made = ConfirmationRequest(id=secrets.token_hex(8), call=call, tool=tool, what=what, asked_at=at)
        self._keep(made)
        return made

    def waiting(self, *, at: datetime | None = None) -> list[ConfirmationRequest]:
        """All requests that are not over, oldest first; those that are over are removed."""
        at = at or datetime.now(UTC)
        found = []
        for path in sorted(self._folder.glob("*.json")) if self._folder.is_dir() else ():
            try:
                one = msgspec.json.decode(path.read_bytes(), type=ConfirmationRequest)
            except (msgspec.MsgspecError, FileNotFoundError):
                continue
            if one.is_over(at):
                path.unlink(missing_ok=True)
            else:
                found.append(one)
        return sorted(found, key=lambda one: one.asked_at)

    def approve(self, request: ConfirmationRequest) -> str:
        """The user agreed: a code for exactly this call, which is kept nowhere."""
        letters = "".join(secrets.choice(_ALPHABET) for _ in range(8))
        self._keep(msgspec.structs.replace(request, code=_hash(request.id, letters), tries=0))
        return f"{letters[:4]}-{letters[4:]}"

    def refuse(self, request: ConfirmationRequest) -> None:
        self._path(request).unlink(missing_ok=True)

    def redeem(self, call: str, code: str, *, at: datetime | None = None) -> None:
        """Let a call with its code through, once. Raises `UsageError` for a code that is wrong, used or too old."""
        request = next((one for one in self.waiting(at=at) if one.call == call), None)
        if request is None:
            raise UsageError(
                "there is no request that this code belongs to: it was used, it is too old, or the arguments differ",
                hint="call again without confirmation, with the arguments the user is to agree to",
            )
        given = _hash(request.id, code.strip().upper().replace("-", ""))
        if request.code is None or not hmac.compare_digest(given, request.code):
            self._keep(msgspec.structs.replace(request, tries=request.tries + 1))
            raise UsageError("this is not the code", hint="ask the user to run: freehold mcp confirm")
        try:
            self._path(request).unlink()  # once: of two that come together one finds it gone
        except FileNotFoundError:
            raise UsageError("this code was used already") from None

    def _path(self, request: ConfirmationRequest) -> Path:
        return self._folder / f"{request.id}.json"

    def _keep(self, request: ConfirmationRequest) -> None:
        with files.writing(f"{self._folder}: the confirmation cannot be kept"):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.write(self._path(request), msgspec.json.encode(request), private=True)


def _hash(id: str, letters: str) -> str:
    return hashlib.sha256(f"{id}:{letters}".encode()).hexdigest()
