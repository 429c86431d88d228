"""From a lineage as written to ancestors with licences: releases, services, texts that name a licence."""

from __future__ import annotations

import re

from freehold.catalog.licenses import (
    family_of,
    license_named,
    licenses,
    licenses_mentioned,
    owners,
    release_index,
    release_mentioned,
    release_on,
    releases_of,
    spelled,
    words,
)
from freehold.licensing.situation import Ancestor
from freehold.types.license import License, Lineage, LineageEdge, Release
from freehold.types.use import UseProfile

_HUB_ID = re.compile(r"^[\w.\-]+/[\w.\-]+$")
_HUB_ID_INSIDE = re.compile(r"(?<![\w./-])[\w.\-]+/[\w.\-]+")
_OURS = re.compile(r"^\(?(ours|our|own|my|mine|internal|in-house|us)\b", re.IGNORECASE)
_TERMS = re.compile(r"licen[sc]e|terms|agreement|rail|under\b", re.IGNORECASE)
_HOSTED = re.compile(r"\b(via|through|hosted (by|on)|served by|api|on|at)\b", re.IGNORECASE)
_MODEL_WORDS = frozenset(
    [
        "model",
        "models",
        "weights",
        "checkpoint",
        "licensed",
        "a",
        "an",
        "the",
        "some",
        "parent",
        "base",
        "data",
    ]
)
_STEPS = frozenset({"fine_tune", "adapter", "quantize", "surgery"})


def resolve(lineage: Lineage, use: UseProfile) -> tuple[Ancestor, ...]:
    """Each edge with its licences, known ancestors of releases added once, oldest first.

    A claimed tag never decides. What is not known stays without a licence: the rules fail closed on it.
    """
    sources: list[Ancestor] = []
    listed = {edge.model.lower() for edge in lineage.edges}
    for edge in lineage.edges:
        source = _source(edge, use, first=edge is lineage.edges[0])
        for base in () if source.release is None else source.release.bases:
            if base.lower() not in listed:
                listed.add(base.lower())
                kind = edge.kind if edge.kind in ("distilled_from", "trained_on", "merge") else "base"
                sources.append(_source(LineageEdge(kind=kind, model=base), use, first=True))
        sources.append(source)
    return tuple(sources)


def _source(edge: LineageEdge, use: UseProfile, *, first: bool) -> Ancestor:
    if edge.license_id is not None:
        license = licenses().get(edge.license_id) or license_named(edge.license_id)
        if license is not None:
            release = _release(edge.model, use)[0]
            return Ancestor(edge, (license,), release, False, "licence as declared in the lineage")
    if _OURS.match(edge.model) and not _HUB_ID.match(edge.model):
        return Ancestor(edge, (), None, True)
    release, note = _release(edge.model, use)
    if release is not None:
        found = tuple(licenses()[name] for name in (release.license, *release.also))
        if not _HUB_ID.match(edge.model) and _HOSTED.search(edge.model):
            # An open model reached through a host: the host's terms come on top of the weights' licence.
            found += licenses_mentioned(edge.model, scope="service")
        return Ancestor(edge, found, release, False, note or release.note, release.confidence)
    if note is not None:
        return Ancestor(edge, (), None, False, note)
    named = _named(edge)
    if named:
        return Ancestor(edge, named, None, False)
    claimed = license_named(edge.claimed_license) if edge.claimed_license else None
    if first or edge.kind not in _STEPS:
        return Ancestor(edge, (), None, False)
    third_party = _HUB_ID.match(edge.model) and edge.model != use.derivative_name
    if third_party and claimed is not None:
        return Ancestor(edge, (claimed,), None, False, f"published under the tag {claimed.id}")
    if third_party and edge.kind in ("fine_tune", "adapter"):
        return Ancestor(edge, (), None, False)
    return Ancestor(edge, (), None, True, edge.note or "it adds no terms of its own")


def _release(model: str, use: UseProfile) -> tuple[Release | None, str | None]:
    entries = releases_of(model)
    if not entries and not _HUB_ID.match(model):
        inside = _HUB_ID_INSIDE.search(model)
        if inside is not None:
            entries = releases_of(inside.group())
        if not entries:
            mentioned = release_index().base_names.get(spelled(model)) or release_mentioned(model)
            entries = releases_of(mentioned or model)
    if not entries:
        return None, _usual(model)
    release = release_on(entries, use.obtained, use.release)
    if release is None:
        return None, f"no licence of {model} is known for a copy obtained on {use.obtained}"
    return release, None


def _usual(model: str) -> str | None:
    """What releases of this one's family usually carry, where the release itself is not known."""
    family = family_of(model)
    if family is None:
        return None
    usual = licenses()[family.license]
    note = f" ({family.note})" if family.note else ""
    return (
        f"this release is not in the catalog; what releases of this family usually carry is {usual.name}{note}, "
        "which says nothing of this one"
    )


def _named(edge: LineageEdge) -> tuple[License, ...]:
    """Licences or service terms a free text names; a hub id names nothing."""
    if _HUB_ID.match(edge.model):
        owner, _, name = edge.model.partition("/")
        # Routers write a service's model as owner/name; an owner that publishes weights means a release by it.
        publishes = owner.lower() in owners()
        return _service(edge.model) or (() if publishes else _service(name))
    service = _service(edge.model)
    if service:
        return service
    if edge.kind == "trained_on" or _says_license(edge.model):
        found = licenses_mentioned(edge.model)
        if not _TERMS.search(edge.model):
            # A single word such as "qwen" names a family here, and family never decides.
            found = tuple(
                one for one in found if one.scope != "weights" or not one.id.startswith("LicenseRef")
            )
        return _one_a_licensor(found)
    return _one_a_licensor(licenses_mentioned(edge.model, scope="service"))


def _one_a_licensor(found: tuple[License, ...]) -> tuple[License, ...]:
    """Of several terms of one company the one named most exactly: ``OpenAI ChatGPT`` is the consumer's."""
    kept: dict[str, License] = {}
    for license in found:
        kept.setdefault(license.licensor, license)
    return tuple(kept.values())


def _says_license(text: str) -> bool:
    """Whether a text stands for a model under a licence: ``model under the … License``, ``Apache-2.0 model``."""
    if " under " in f" {words(text)} ":
        return True
    named = license_named(_bare(text))
    return named is not None and (not named.id.startswith("LicenseRef") or bool(_TERMS.search(text)))


def _bare(text: str) -> str:
    """A text without the words that only say that a model is meant: ``Apache-2.0 model`` is Apache-2.0."""
    return " ".join(word for word in text.split() if words(word) not in _MODEL_WORDS)


def _service(model: str) -> tuple[License, ...]:
    name = model.lower()
    for license in licenses().values():
        if license.scope == "service" and any(name.startswith(start) for start in license.serves):
            return (license,)
    return ()
