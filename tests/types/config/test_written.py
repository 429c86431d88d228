"""Values that are wrong in whatever table they stand."""

import pytest

from freehold.errors import ConfigError
from freehold.types.config import parse
from freehold.types.config.written import is_variable

APP = '[app]\nname = "a"\n'
INCUMBENT = APP + '[incumbent]\nmodel = "m"\nbase_url = "{}"\n'
ENDPOINT = APP + '[[endpoints]]\nname = "e"\nbase_url = "{}"\nmodels = ["m"]\n'


@pytest.mark.parametrize("name", [
    "OPENAI_API_KEY", "openai_key", "Key2", "_X", "AZURE_GPT4O_2024_KEY", "my_service_v2_key_eu_west_1",
    "AVERYLONGNAMEWITHOUTONEUNDERSCORE", "GPT4", "MYCOMPANYOPENAIKEY2025", "openaiKeyForStaging2025",
    "APIKEYGPT4OFORSTAGING2025EU",
])  # fmt: skip
def test_names_of_variables_are_taken(name):
    assert is_variable(name)


@pytest.mark.parametrize("key", [
    "sk-abc", "", "2KEY", "a b", "gsk_a1B2c3D4e5F6g7H8i9J0k1", "hf_a1b2c3d4e5f6g7h8i9j0", "f3" * 16, "A1" * 10,
])  # fmt: skip
def test_keys_in_their_place_are_not(key):
    assert not is_variable(key)


@pytest.mark.parametrize("text", [INCUMBENT, ENDPOINT])
@pytest.mark.parametrize(
    ("url", "message", "hint"),
    [
        ("api.openai.com/v1", "is api.openai.com/v1, expected http", "https://api.openai.com/v1?"),
        ("localhost:8000", "expected http", "https://localhost:8000?"),
        ("htp://api.openai.com", "is htp://api.openai.com, expected http", "as in https"),
        ("https://", "names no host", "as in https"),
        ("https://a b/v1", "has a space in it", "as in https"),
        ("https://host:999999/v1", "is not an address", "as in https"),
        ("ftp://me:secret@host", "expected http", "as in https"),
    ],
)
def test_an_address_that_nothing_can_be_sent_to_is_refused(text, url, message, hint):
    with pytest.raises(ConfigError, match=r"freehold.toml:5: .*base_url ") as refused:
        parse(text.format(url))
    assert message in refused.value.message and hint in str(refused.value.hint)
    assert "secret" not in refused.value.message


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "HTTPS://host/v1/", "http://[::1]:8/v1?api-version=1", "http://me:x@host"]
)
def test_addresses_are_taken(url):
    assert parse(INCUMBENT.format(url)).incumbent.base_url == url


@pytest.mark.parametrize("key", ["serve.context_tokens", "task.max_tokens", "train.seed"])
def test_an_integer_beyond_64_bits_is_refused(key):
    with pytest.raises(ConfigError, match=r"freehold.toml:1: .* is too large a number"):
        parse(f"{key} = {10**26}\n{APP}")
