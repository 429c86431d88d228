"""Azure: an access token of Microsoft Entra ID, by azure-identity's usual chain."""

from __future__ import annotations

import time
from typing import Any

from freehold.signing import source
from freehold.signing.source import Headers, Issued, refresh_before

# https://learn.microsoft.com/azure/ai-services/authentication and microsoft/PyRIT#1453 (read 2026-11-29): taken by
# Azure OpenAI and by Azure AI Foundry.
SCOPE = "https://cognitiveservices.azure.com/.default"


class AzureSource:
    """See the module."""

    def __init__(self) -> None:
        self._found: Any = None

    def fetch(self) -> Issued:
        if self._found is None:
            from azure.identity import DefaultAzureCredential

            # No browser, and no prompt, in a server.
            self._found = DefaultAzureCredential(
                exclude_interactive_browser_credential=True,
                connection_timeout=source.ANSWERS_WITHIN_S,
                read_timeout=source.ANSWERS_WITHIN_S,
            )
        issued = self._found.get_token(SCOPE)
        return Issued(issued.token, refresh_before(time.time(), issued.expires_on), float(issued.expires_on))

    def headers(self, value: object, method: str, url: str, headers: Headers, body: bytes) -> Headers:
        return [("authorization", f"Bearer {value}")]
