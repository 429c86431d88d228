"""The ranges that fields of freehold.toml share."""

import math

import msgspec
import pytest

from freehold.types.config.table import AtLeastOne, NotNegative, Positive, Share, ShareBelowOne


@pytest.mark.parametrize(
    ("kind", "inside", "outside"),
    [
        (AtLeastOne, [1, 10**9], [0, -1]),
        (NotNegative, [0.0, 1e300], [-1e-9, math.inf, math.nan]),
        (Positive, [1e-300, 1e300], [0.0, math.inf, math.nan]),
        (Share, [0.0, 1.0], [-0.1, 1.1, math.nan]),
        (ShareBelowOne, [0.0, 0.999], [1.0, -0.1]),
    ],
)
def test_the_ends_of_each_range(kind, inside, outside):
    assert [msgspec.convert(value, kind) for value in inside] == inside
    for value in outside:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(value, kind)
