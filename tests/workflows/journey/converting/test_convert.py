import json

import pytest
from tests.workflows.journey.converting.converted import converted

from freehold.errors import InputError, UsageError
from freehold.workflows.journey.converting.convert import ConvertRequest, convert

SMALL = (
    "model_list:\n- {model_name: gpt-4o, litellm_params: {model: openai/gpt-4o, api_key: sk-live-abcdef}}\n"
)


def request(tmp_path, text, **options):
    file = tmp_path / "c.yaml"
    file.write_text(text)
    return ConvertRequest(file=file, folder=tmp_path, **options)


def test_nothing_is_written_unless_asked_and_no_file_is_lost(tmp_path):
    made = convert(request(tmp_path, SMALL))
    assert made.path is None and not (tmp_path / "freehold.toml").exists()
    (tmp_path / "freehold.toml").write_text("mine\n")
    with pytest.raises(UsageError, match="is there already"):
        convert(request(tmp_path, SMALL, write=True))
    assert (tmp_path / "freehold.toml").read_text() == "mine\n"
    convert(request(tmp_path, SMALL, write=True, replace=True))
    assert "[incumbent]" in (tmp_path / "freehold.toml").read_text()


@pytest.mark.parametrize(
    "text", ["a: 1\n", "- 1\n- 2\n", "services: {web: {image: x}}\n", "model_list: []\n", "targets: [a]\n"]
)
def test_what_is_not_recognised_is_refused(text, tmp_path):
    with pytest.raises(InputError, match=r"not a configuration of LiteLLM|does not hold a mapping"):
        convert(request(tmp_path, text))


def test_an_incumbent_that_the_file_does_not_have_is_refused(tmp_path):
    with pytest.raises(UsageError, match="--incumbent typo: the file has nothing of this name"):
        convert(request(tmp_path, SMALL, incumbent="typo", write=True))
    assert not (tmp_path / "freehold.toml").exists()


def test_where_the_file_names_no_model_the_incumbent_is_the_one_that_was_said(tmp_path):
    text = "model_list:\n- {model_name: '*', litellm_params: {model: openai/*}}\n"
    _, config = converted(tmp_path, "c.yaml", text, incumbent="gpt-4o")
    assert (config.incumbent.preset, config.incumbent.model) == ("openai", "gpt-4o")


def test_a_file_of_which_nothing_can_be_taken_says_why(tmp_path):
    text = "model_list:\n- {model_name: t, litellm_params: {model: bedrock/titan}}\n"
    with pytest.raises(InputError, match="nothing in it could be converted: model_list"):
        convert(request(tmp_path, text))


def test_a_key_that_stands_elsewhere_too_is_not_copied_from_there(tmp_path):
    text = SMALL.replace("gpt-4o,", "sk-live-abcdef,", 1)
    with pytest.raises(InputError, match="looks like a key"):
        convert(request(tmp_path, text, write=True))
    assert not (tmp_path / "freehold.toml").exists()


def test_keys_of_one_vendor_are_told_apart(tmp_path):
    more = SMALL + "- {model_name: b, litellm_params: {model: openai/gpt-4.1, api_key: sk-live-other}}\n"
    more += "- {model_name: c, litellm_params: {model: openai/gpt-5, api_key: sk-live-abcdef}}\n"
    made, config = converted(tmp_path, "c.yaml", more)
    assert [one.name for one in made.environment] == ["OPENAI_API_KEY", "OPENAI_API_KEY_2"]
    assert config.incumbent.api_key_env == "OPENAI_API_KEY"
    assert [one.api_key_env for one in config.endpoints] == ["OPENAI_API_KEY_2"]
    assert [one.incumbent.endpoint for one in config.routes] == ["incumbent", "openai", "incumbent"]


@pytest.mark.parametrize("literal_first", [True, False])
def test_a_key_in_the_file_is_not_that_of_a_variable_it_refers_to(literal_first, tmp_path):
    entries = [
        "- {model_name: a, litellm_params: {model: openai/a, api_key: sk-live-abcdef}}\n",
        "- {model_name: b, litellm_params: {model: openai/b, api_key: os.environ/OPENAI_API_KEY}}\n",
    ]
    made, config = converted(
        tmp_path, "c.yaml", "model_list:\n" + "".join(entries if literal_first else entries[::-1])
    )
    place = f"model_list[{0 if literal_first else 1}].litellm_params.api_key"
    assert {one.name: one.source for one in made.environment} == {
        "OPENAI_API_KEY": None,
        "OPENAI_API_KEY_2": place,
    }
    asked = {one.model: one.incumbent.endpoint for one in config.routes}
    assert asked["a"] != asked["b"]


HOSTILE = 'x"]\n[store]\nurl = "sqlite:////tmp/evil"\u202e\x07'


def test_names_in_the_file_cannot_write_settings_of_their_own(tmp_path):
    text = json.dumps(
        {
            "model_list": [
                {
                    "model_name": HOSTILE,
                    "litellm_params": {"model": f"openai/{HOSTILE}", "api_base": "http://gpu/v1", HOSTILE: 1},
                }
            ]
        }
    )
    made, config = converted(tmp_path, "c.json", text)
    assert config.store.url is None
    assert config.routes[0].model == HOSTILE.strip()
    assert all(one.source.isprintable() for one in made.unmapped)
