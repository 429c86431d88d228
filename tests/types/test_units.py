import pytest

from freehold.types.units import GIB, MIB, gib, mib


@pytest.mark.parametrize(
    ("count", "digits", "text"),
    [
        (0, None, "0.00 GiB"),
        (4.83 * GIB, None, "4.83 GiB"),
        (10 * GIB, None, "10.0 GiB"),
        (-12 * GIB, None, "-12.0 GiB"),
        (1234.56 * GIB, None, "1,234.6 GiB"),
        (4.83 * GIB, 1, "4.8 GiB"),
        (MIB, 3, "0.001 GiB"),
    ],
)
def test_gib(count, digits, text):
    assert gib(count, digits) == text


def test_mib():
    assert (mib(270.4 * MIB), mib(1536 * MIB, 1)) == ("270 MiB", "1,536.0 MiB")
