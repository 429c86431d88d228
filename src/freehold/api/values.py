"""What callers may hand over, made into what workflows take."""

from __future__ import annotations

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from freehold.errors import UsageError

if TYPE_CHECKING:
    from freehold.costs.prices import TokenPrice
    from freehold.types.cost import Range
    from freehold.types.use import UseProfile
    from freehold.workflows.project import Project

FilePath: TypeAlias = str | os.PathLike[str]
"""A file or folder."""
Amount: TypeAlias = int | float | str | Decimal
"""A number of dollars, tokens or requests; text and `Decimal` are kept exactly as written."""
Use: TypeAlias = "UseProfile | Mapping[str, object] | None"
"""Who uses a model and for what: a profile, keys of `[use]`, or None for what the project's file says."""


def use_of(use: Use, project: Project) -> UseProfile:
    """Raises `ConfigError` for an unknown key or a value of another type."""
    from freehold.types.use import UseProfile
    from freehold.workflows.license.use import with_values

    if use is None:
        return project.config.use
    return use if isinstance(use, UseProfile) else with_values(UseProfile(), use)


def paths(files: tuple[FilePath, ...]) -> tuple[Path, ...]:
    return tuple(Path(one) for one in files)


def decimal(value: Amount | None) -> Decimal | None:
    """Raises `UsageError` for what is not a finite number."""
    if value is None:
        return None
    try:
        made = Decimal(str(value).replace("_", "").replace(",", ""))
    except ArithmeticError:
        raise UsageError(f"{value!r} is not a number") from None
    if not made.is_finite():
        raise UsageError(f"{value!r} is not a finite number")
    return made


def low_high(value: Amount | tuple[Amount, Amount] | None) -> Range | None:
    """One amount, or the lowest and the highest."""
    from freehold.types.cost import Range

    if value is None:
        return None
    low, high = value if isinstance(value, tuple) else (value, value)
    ends = decimal(low), decimal(high)
    assert ends[0] is not None and ends[1] is not None
    return Range(low=ends[0], high=ends[1])


def token_price(price: tuple[Amount, Amount] | None) -> TokenPrice | None:
    """Dollars per million prompt and completion tokens."""
    from freehold.costs.prices import TokenPrice

    if price is None:
        return None
    prompt, completion = decimal(price[0]), decimal(price[1])
    assert prompt is not None and completion is not None
    return TokenPrice(prompt, completion)
