import pytest

from freehold.errors import InputError
from freehold.hardware.config_keys import ConfigKeys


def test_the_first_key_that_holds_a_number_counts():
    keys = ConfigKeys({"a": None, "b": True, "c": 7, "d": 9}, "config.json")
    assert keys.optional("a", "b", "c", "d") == 7
    assert keys.optional("a", "b") is None


@pytest.mark.parametrize(
    ("raw", "says"),
    [({}, "heads is missing"), ({"heads": 0}, "heads is 0"), ({"heads": "8"}, "heads is '8'")],
)
def test_a_number_that_the_sizes_need_is_named_with_what_stands_there(raw, says):
    with pytest.raises(InputError, match=says):
        ConfigKeys(raw, "config.json").whole("heads")


def test_words_are_a_list_of_text_or_nothing():
    keys = ConfigKeys({"types": ["mamba", "moe"], "ratios": [4, 128]}, "config.json")
    assert keys.words("types") == ["mamba", "moe"]
    assert keys.words("ratios") is keys.words("absent") is None
