"""Google Cloud: an access token of the Application Default Credentials, by google-auth."""

from __future__ import annotations

import time
from datetime import UTC
from typing import Any

from freehold.signing import source
from freehold.signing.source import CredentialError, Headers, Issued, refresh_before

# https://cloud.google.com/vertex-ai/docs/reference/rest/v1beta1/projects.locations.endpoints.chat/completions (scopes).
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_LIFETIME_S = 300.0


class GoogleSource:
    """See the module."""

    def __init__(self) -> None:
        self._found: Any = None

    def fetch(self) -> Issued:
        import google.auth
        import requests
        from google.auth.transport.requests import Request

        with requests.Session() as session:
            transport = Request(session=session)

            def ask(*arguments: Any, **more: Any) -> Any:
                return transport(*arguments, **{**more, "timeout": source.ANSWERS_WITHIN_S})

            asked: Any = ask  # all that google-auth wants of its `Request` is to be called
            if self._found is None:
                self._found, _ = google.auth.default(scopes=[SCOPE], request=asked)
            self._found.refresh(asked)
        token, expiry = self._found.token, self._found.expiry
        if not isinstance(token, str) or not token:
            raise CredentialError("its source gave no access token")
        now = time.time()
        # google-auth tells UTC without saying so.
        expires_s = now + _LIFETIME_S if expiry is None else expiry.replace(tzinfo=UTC).timestamp()
        return Issued(token, refresh_before(now, expires_s), expires_s)

    def headers(self, value: object, method: str, url: str, headers: Headers, body: bytes) -> Headers:
        return [("authorization", f"Bearer {value}")]
