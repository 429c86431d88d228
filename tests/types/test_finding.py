from freehold.types.finding import Preflight, fail, ok, warn


def test_what_failed_comes_first_and_what_is_well_is_not_doubted():
    found = Preflight(findings=(ok("a", "b"), warn("c", "d", "e"), fail("f", "g", "h")), items=3, seconds=0.1)
    assert [one.check for one in found.failed] == ["f"]
    assert [one.check for one in found.doubted] == ["f", "c"]
