"""Which samples a project has declared: never the candidate's, or never to leave the house."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from freehold.errors import ConfigError, did_you_mean
from freehold.late import np
from freehold.types.config import DeferConfig
from freehold.types.dataset import Sample

if TYPE_CHECKING:
    import numpy.typing as npt

Conditions = Sequence[Mapping[str, str]]


def declared(conditions: Conditions, samples: Iterable[Sample]) -> npt.NDArray[np.bool_]:
    """Whether each sample meets one of the conditions in all its parts.

    A part about a header or an API key is not known of a sample: a condition with one is met by none.
    """
    known = [condition for condition in conditions if condition and not _of_requests(condition)]
    return np.array(
        [
            any(
                all(_text(sample.metadata.get(name)) == value for name, value in condition.items())
                for condition in known
            )
            for sample in samples
        ],
        dtype=bool,
    )


def check(config: DeferConfig, samples: Sequence[Sample]) -> list[str]:
    """What to know of the declared requests, in words.

    Raises `ConfigError` for a field that no sample has, an empty condition, and one that is both.
    """
    fields = {name for sample in samples for name in sample.metadata}
    notes = []
    for table in ("always_incumbent", "never_defer_out"):
        for condition in getattr(config, table):
            if not condition:
                raise ConfigError(
                    f"defer.{table}: an empty condition is met by every request",
                    hint='name what declares it: [{ language = "ja" }]',
                )
            for name in condition:
                if name not in fields and not _is_of_requests(name):
                    raise ConfigError(
                        f"defer.{table}: no sample has the field {name!r}",
                        hint=did_you_mean(
                            name, sorted(fields), f"known: {', '.join(sorted(fields)) or 'none'}"
                        ),
                    )
            if _of_requests(condition):
                notes.append(
                    f"defer.{table} {_said(condition)}: samples carry neither headers nor keys, so these requests are "
                    "among all others here; the gateway sorts them out."
                )
    both = declared(config.always_incumbent, samples) & declared(config.never_defer_out, samples)
    if both.any():
        raise ConfigError(
            f"{int(both.sum()):,} samples are declared as always_incumbent and as never_defer_out",
            hint="a request goes to the incumbent or stays in the house: narrow one of the conditions",
        )
    return notes


def _of_requests(condition: Mapping[str, str]) -> bool:
    return any(map(_is_of_requests, condition))


def _is_of_requests(name: str) -> bool:
    return name == "key" or name.startswith("header:")


def _said(condition: Mapping[str, str]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in condition.items())


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) else None
