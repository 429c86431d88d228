"""Where a provider is asked, in freehold's words, from the name that LiteLLM has for it."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from freehold.catalog.vendors import vendors

_OTHER_NAMES = {
    "azure_ai": "",
    "fireworks_ai": "fireworks",
    "together_ai": "together",
}
_KEYS = {
    "anthropic": "ANTHROPIC_API_KEY",
    "azure": "AZURE_OPENAI_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
    "fireworks": "FIREWORKS_API_KEY",
    "gemini": "GEMINI_API_KEY",
    "groq": "GROQ_API_KEY",
    "mistral": "MISTRAL_API_KEY",
    "openai": "OPENAI_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
    "perplexity": "PERPLEXITY_API_KEY",
    "together": "TOGETHER_API_KEY",
    "zai": "ZAI_API_KEY",
}
"""The environment variable that holds the key of a vendor, as its own documentation names it."""
_OWN = {
    "hosted_vllm": "http://localhost:8000/v1",
    "lm_studio": "http://localhost:1234/v1",
    "llamafile": "http://localhost:8080/v1",
    "xinference": "http://localhost:9997/v1",
    "ollama": "http://localhost:11434",
    "ollama_chat": "http://localhost:11434",
}
"""Engines that one runs oneself, and where each listens unless it is told otherwise."""


class VendorAddress(NamedTuple):
    """Where a model is asked. Two deployments with the same address are one endpoint. `price` is dollars per million
    tokens, of the prompt and of the completion."""

    preset: str | None = None
    base_url: str | None = None
    api: str = "openai"
    api_key_env: str | None = None
    price: tuple[str, str] | None = None

    @property
    def title(self) -> str:
        """A name for the endpoint: the vendor's, or the host's."""
        if self.preset is not None and (self.base_url is None or self.preset != "azure"):
            return self.preset
        host = urlsplit(self.base_url or "").hostname or "endpoint"
        local = "ollama" if self.api == "ollama" else "local-engine"
        return local if host in ("localhost", "127.0.0.1", "host.docker.internal") else host.split(".")[0]


def vendor_of(vendor: str) -> str | None:
    """The vendor that freehold knows by LiteLLM's name; None for one that it does not know."""
    name = vendor.strip().lower()
    name = _OTHER_NAMES.get(name, name)
    return name if name in vendors() else None


def is_own_engine(vendor: str) -> bool:
    """Whether a provider is an engine that one runs oneself."""
    return vendor.strip().lower() in _OWN


def key_variable(vendor: str) -> str | None:
    """The environment variable in which a provider's key is looked for."""
    known = vendor_of(vendor)
    return _KEYS.get(known) if known else None


def address(named: str, base_url: str | None = None) -> VendorAddress | None:
    """The address of a provider by LiteLLM's name, at `base_url` where it is not the usual one.

    None where it cannot be told: an unknown provider without an address, and vendors at which each customer has an
    address of its own (Azure, Bedrock, Vertex) without one.
    """
    name = named.strip().lower()
    url = clean_url(base_url)
    if name in _OWN:
        return VendorAddress(
            base_url=url or _OWN[name], api="ollama" if name.startswith("ollama") else "openai"
        )
    known = vendor_of(name)
    if known is None:
        return VendorAddress(base_url=url) if url else None
    vendor = vendors()[known]
    if url is None:
        return None if vendor.is_own else VendorAddress(preset=known, api=vendor.api)
    if url.rstrip("/") == vendor.base_url.rstrip("/"):
        return VendorAddress(preset=known, api=vendor.api)
    if known in ("openai", "anthropic"):  # a proxy, or another engine, that speaks the vendor's API
        return VendorAddress(base_url=url, api=vendor.api)
    return VendorAddress(preset=known, base_url=url, api=vendor.api)


def azure_address(endpoint: str | None, deployment: str, version: str | None) -> VendorAddress | None:
    """A deployment of Azure OpenAI. None without the resource's address."""
    url = clean_url(endpoint)
    if url is None or not re.fullmatch(r"[\w.-]{1,100}", deployment):
        return None
    base = url.partition("?")[0].rstrip("/")
    if "/openai/deployments/" not in base:
        base = f"{base.removesuffix('/openai')}/openai/deployments/{deployment}"
    base = base.removesuffix("/chat/completions")
    asked = version or dict(parse_qsl(urlsplit(endpoint or "").query)).get("api-version")
    query = f"?{urlencode({'api-version': asked})}" if asked else ""
    return VendorAddress(preset="azure", base_url=base + query)


def clean_url(url: str | None) -> str | None:
    """An address without user, password and whatever stands behind the path, in which keys are sent; an API's version
    stays. None for what is not an http or https address."""
    if url is None:
        return None
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host or re.search(r"[\s{}$]", url):
        return None
    place = f"[{host}]" if ":" in host else host
    place += f":{port}" if port is not None else ""
    kept = [(name, value) for name, value in parse_qsl(parts.query) if name == "api-version"]
    path = re.sub(r"/(?:chat/)?completions/?$", "", parts.path).rstrip("/")
    return urlunsplit((parts.scheme, place, path, urlencode(kept), ""))
