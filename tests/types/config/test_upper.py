"""What `[defer] upper` may name: an endpoint, or a candidate that answers behind one."""

import pytest

from freehold.errors import ConfigError
from freehold.types.config import parse

HEAD = '[app]\nname = "x"\n[[endpoints]]\nname = "house"\nbase_url = "http://h"\nmodels = ["first", "big"]\n'
SMALL = '[[candidates]]\nmodel = "org/small"\n'
LARGE = '[[candidates]]\nmodel = "big"\nendpoint = "house"\n'


def read(upper, *candidates):
    return parse("".join((HEAD, *candidates)) + f'[defer]\nupper = "{upper}"\n').upper


@pytest.mark.parametrize(
    ("upper", "more", "meant"),
    [
        ("house", "", "house"),
        ("house/other", "", "house/other"),
        ("large", 'name = "large"\n', "house/big"),
        ("big", "", "house/big"),
        ("big", 'name = "large"\n', "house/big"),
        ("large", 'name = "large"\nmethod = "as_is"\n', "house/big"),
    ],
)
def test_an_endpoint_or_a_candidate_is_found(upper, more, meant):
    assert read(upper, SMALL, LARGE + more) == meant
    assert parse(HEAD + SMALL).upper is None


@pytest.mark.parametrize(
    ("upper", "candidates", "why"),
    [
        ("lage", (SMALL, LARGE + 'name = "large"\n'), "not one of .*endpoints.* nor of .*candidates"),
        ("org/small", (SMALL, LARGE), "runs on this machine"),
        ("house", (SMALL, LARGE + 'name = "house"\n'), "names one of .* and a candidate"),
        ("big", (LARGE + 'name = "a"\n', LARGE + 'name = "b"\n'), "stands for 2 candidates"),
        ("big", (SMALL, LARGE + 'method = "prompt"\nreminder = "x"\n'), "method prompt: the gateway asks"),
        ("big", (LARGE,), "is the only candidate"),
        ("big", (), "not one of"),
    ],
)
def test_what_cannot_answer_in_the_incumbents_place_is_refused_with_the_reason(upper, candidates, why):
    with pytest.raises(ConfigError, match=why) as caught:
        read(upper, *candidates)
    assert caught.value.message.startswith("freehold.toml: defer.upper") and caught.value.hint


def test_the_nearest_name_is_told():
    with pytest.raises(ConfigError) as caught:
        read("lage", SMALL, LARGE + 'name = "large"\n')
    assert "large" in caught.value.hint
