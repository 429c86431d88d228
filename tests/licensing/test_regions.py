import pytest

from freehold.licensing.regions import inside


@pytest.mark.parametrize(
    ("place", "regions", "holds"),
    [
        ("DE", ("EU",), True),
        ("Germany", ("EU",), True),
        ("DE-BY", ("EU",), True),
        ("EU", ("EU",), True),
        ("GB", ("EU",), False),
        ("UK", ("GB",), True),
        ("global", ("EU",), True),
        ("South Korea", ("KR",), True),
        ("US-CA", ("EU",), False),
        ("CH", ("EU",), False),
    ],
)
def test_a_place_touches_a_region(place, regions, holds):
    assert inside(place, regions) is holds
