import time

import pytest
from tests.evals.scorers.conftest import score, value

from freehold.errors import ConfigError
from freehold.evals.scorers import make

pytestmark = pytest.mark.process


def test_regex():
    assert value("regex", "order LL-204816 ok", None, pattern=r"LL-\d{6}") == 1.0
    assert value("regex", "order LL-204816 ok", None, pattern=r"LL-\d{6}", match="full") == 0.0
    assert value("regex", "LL-2 then LL-3", "LL-3", pattern=r"(LL-\d)", group=1) == 1.0
    assert value("regex", "abc", "^a.c$") == 1.0
    assert score("regex", "abc", "(").value is None
    given = score("regex", "none", "LL-3", pattern=r"(?P<order>LL-\d)", group="order")
    assert (given.value, given.format_ok) == (0.0, False)
    assert value("regex", "ll-3", "LL-3", pattern=r"ll-\d", group=0, ignore_case=True) == 1.0
    for options, message in [
        ({"pattern": "("}, "not a valid pattern"),
        ({"pattern": "a", "group": 1}, "no group 1"),
        ({"group": 1}, "group needs a pattern"),
    ]:
        with pytest.raises(ConfigError, match=message):
            make("regex", options)


@pytest.mark.parametrize("options", [{"pattern": "^(a+)+$"}, {}])
def test_a_pattern_without_end_is_not_scored_and_the_next_one_is(options):
    started = time.monotonic()
    given = score("regex", "a" * 40 + "!", "^(a+)+$", **options)
    assert given.value is None and given.reason.startswith("not_decided: ")
    assert time.monotonic() - started < 20
    assert value("regex", "aaa", "^(a+)+$", **options) == 1.0
