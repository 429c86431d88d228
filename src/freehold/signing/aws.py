"""AWS: requests are signed (Signature Version 4), by botocore with the credentials of its usual chain.

The services are those of https://docs.aws.amazon.com/bedrock/latest/userguide/inference-chat-completions-mantle.html
and of https://github.com/openai/openai-java/blob/master/bedrock.md (read 2026-11-29): ``bedrock-mantle`` at
``bedrock-mantle.REGION.api.aws``, ``bedrock`` elsewhere. Signed are the host, the content type and the body: what else
a request carries may be changed by a proxy on its way.
"""

from __future__ import annotations

import os
import re
import time
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from freehold.signing import source
from freehold.signing.source import CredentialError, Headers, Issued, refresh_before

LOOK_AGAIN_S = 60.0
"""botocore renews credentials that end when it is asked for them, a quarter of an hour before, so it is asked often."""
_REGION = re.compile(r"(?:^|\.)bedrock(?:-mantle|-runtime)?(?:-fips)?\.([a-z]{2,}(?:-[a-z]+)+-\d+)\.")
_OVERWRITTEN = frozenset(("x-amz-date", "x-amz-security-token", "x-amz-content-sha256", "authorization"))


class SigningScope(NamedTuple):
    """What requests to an address are signed for. The region is None where nothing names one."""

    service: str
    region: str | None


def signed_for(base_url: str) -> SigningScope:
    """The scope of an address: a region in its name goes before that of the environment."""
    host = urlsplit(base_url).hostname or ""
    service = "bedrock-mantle" if "bedrock-mantle" in host else "bedrock"
    found = _REGION.search(host)
    region = found[1] if found else os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return SigningScope(service, region)


class AwsSource:
    """See the module."""

    def __init__(self, base_url: str) -> None:
        self._scope = signed_for(base_url)
        self._found: Any = None

    def fetch(self) -> Issued:
        if self._found is None:
            import botocore.auth  # not on the loop, with the first request
            from botocore.config import Config
            from botocore.session import Session

            assert botocore.auth
            session, within_s = Session(), source.ANSWERS_WITHIN_S
            session.set_default_client_config(Config(connect_timeout=within_s, read_timeout=within_s))
            self._found = session.get_credentials()
        if self._found is None:
            raise CredentialError("its usual chain, from AWS_ACCESS_KEY_ID to the instance's role, is empty")
        frozen = self._found.get_frozen_credentials()
        parts = (frozen.access_key, frozen.secret_key, frozen.token or "")
        if not all(part.isascii() and part.isprintable() for part in parts):
            # A line end from a secret's file; what is read again may be without.
            self._found = None
            raise CredentialError("they have characters that no header can carry, such as an end of a line")
        # Only credentials that are renewed have it; botocore tells it nowhere else.
        ends = getattr(self._found, "_expiry_time", None)
        now = time.time()
        if ends is None:
            self._found = None  # a key in a file or a profile may be exchanged: read again
        refresh_s, expires_s = now + LOOK_AGAIN_S, None
        if isinstance(ends, datetime):
            expires_s = ends.timestamp()
            refresh_s = min(refresh_s, refresh_before(now, expires_s))
        return Issued(frozen, refresh_s, expires_s)

    def headers(self, value: object, method: str, url: str, headers: Headers, body: bytes) -> Headers:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        sent = {name: said for name, said in headers if name == "content-type"}
        request = AWSRequest(method=method, url=url, data=body, headers=sent)
        SigV4Auth(value, self._scope.service, self._scope.region).add_auth(request)
        return [
            (name.lower(), said) for name, said in request.headers.items() if name.lower() in _OVERWRITTEN
        ]


def without_signature(headers: Headers) -> Headers:
    """A request's headers without what another signature left there."""
    return [pair for pair in headers if pair[0] not in _OVERWRITTEN]
