"""What vendors' documentation says, against what would be asked."""

import datetime

import pytest

from freehold.catalog.vendors import vendor, vendors, with_addresses
from freehold.errors import ConfigError
from freehold.types.config_file import parse
from freehold.wire.base_url import joined, stem

PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}


@pytest.mark.parametrize("one", vendors().values(), ids=vendors())
def test_a_documented_base_url_reaches_the_documented_path(one):
    assert joined(one.base_url, PATHS[one.api], api=one.api) == one.chat
    assert joined(stem(one.base_url), PATHS[one.api], api=one.api) == one.chat
    assert one.source and one.checked <= datetime.date.today()


def test_a_vendor_that_is_not_known_is_told_with_the_nearest():
    with pytest.raises(ConfigError, match=r"incumbent\.preset is gemni") as error:
        vendor("gemni", "incumbent.preset")
    assert "gemini" in str(error.value.hint)


def said(text):
    return with_addresses(parse(f'[app]\nname = "a"\n{text}'))


def test_a_preset_stands_for_address_and_api():
    config = said(
        '[incumbent]\nmodel = "m"\npreset = "anthropic"\n[[endpoints]]\nname = "x"\npreset = "openrouter"'
    )
    assert (config.incumbent.base_url, config.incumbent.api) == ("https://api.anthropic.com", "anthropic")
    assert config.endpoints[0].base_url == "https://openrouter.ai/api/v1"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[incumbent]\nmodel = "m"\npreset = "azure"', "each customer of azure has an address of its own"),
        ('[[endpoints]]\nname = "x"', "endpoint x has no base_url"),
    ],
)
def test_an_address_that_is_missing_is_asked_for(text, problem):
    with pytest.raises(ConfigError, match=problem):
        said(text)
