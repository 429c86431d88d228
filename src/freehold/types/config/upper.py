"""`[defer] upper`: which model at which of `[[endpoints]]` it names, by the endpoint or by one of `[[candidates]]`."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from freehold.errors import ConfigError, did_you_mean
from freehold.types.config.candidates import CandidateConfig

_APART = "serve it apart (freehold serve, vLLM, another machine), and give it that one of [[endpoints]]"


def endpoint_of_upper(name: str, candidates: Sequence[CandidateConfig], endpoints: Collection[str]) -> str:
    """`name` as ``ENDPOINT`` or ``ENDPOINT/MODEL``: it stands for one of the `endpoints`, or for a candidate, by its
    name or, where one alone has it, by its model.

    Raises `ConfigError` for a name that is neither or more than one, and for a candidate that cannot answer in the
    incumbent's place: one without an address, one that is asked otherwise than a request comes, the only one.
    """
    is_endpoint = name in endpoints or name.partition("/")[0] in endpoints
    named = [one for one in candidates if one.name == name]
    if is_endpoint and named:
        raise ConfigError(
            f"defer.upper {name!r} names one of [[endpoints]] and a candidate ({named[0].model})",
            hint="give the candidate another name, or write ENDPOINT/MODEL",
        )
    if is_endpoint:
        return name
    named = named or [one for one in candidates if one.model == name]
    if not named:
        known = sorted({*endpoints, *(one.name or one.model for one in candidates)})
        raise ConfigError(
            f"defer.upper {name!r} is not one of [[endpoints]] nor of [[candidates]]",
            hint=did_you_mean(name, known, "add [[endpoints]] with that name and its base_url"),
        )
    if len(named) > 1:
        raise ConfigError(
            f"defer.upper {name!r} stands for {len(named)} candidates", hint="give each a name of its own"
        )
    return _address(name, named[0], only=len(candidates) == 1)


def _address(name: str, candidate: CandidateConfig, *, only: bool) -> str:
    """Where a candidate answers. Raises `ConfigError` where it cannot be the upper model."""
    if only:
        raise ConfigError(
            f"defer.upper {name!r} is the only candidate: it would leave what it is not sure of to itself",
            hint="name a larger model: another candidate behind an address, or one of [[endpoints]]",
        )
    if candidate.endpoint is None:
        raise ConfigError(
            f"defer.upper {name!r} is a candidate that runs on this machine, and the upper model is asked by its "
            "address",
            hint=_APART,
        )
    if candidate.method not in (None, "as_is"):
        raise ConfigError(
            f"defer.upper {name!r} is a candidate of method {candidate.method}: the gateway asks an upper model as the "
            "request comes, which is not how that candidate is measured",
            hint="a candidate of the same model with method as_is, or ENDPOINT/MODEL",
        )
    return f"{candidate.endpoint}/{candidate.model}"
