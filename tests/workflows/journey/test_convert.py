"""A file, converted, and the result held against what freehold itself reads: its file, its endpoints, its routes."""

import json
import os
from decimal import Decimal

import msgspec
import pytest

from freehold.catalog.vendors import with_addresses
from freehold.errors import InputError, UsageError
from freehold.gateway.config import check_route
from freehold.types.config_file import parse
from freehold.types.route import Target
from freehold.workflows.journey.converting.convert import convert
from freehold.workflows.journey.converting.litellm import clean_url
from freehold.workflows.journey.converting.reading import MOST_BYTES, read_document
from freehold.workflows.shift.endpoints import configured_endpoints
from freehold.workflows.shift.routes import route_of


def converted(folder, text, incumbent=None):
    """What became of a file, and the project that `freehold.toml` is then. No key of the file is in either."""
    file = folder / "c.yaml"
    file.write_text(text if isinstance(text, str) else json.dumps(text))
    made = convert(file, incumbent)
    config = with_addresses(parse(made.toml))
    names = [one.name for one in configured_endpoints(config)]
    for table in config.routes:
        check_route(route_of(table), names)
    for key in ("sk-live", "SECRET"):
        assert key not in msgspec.json.encode(made).decode()
    return made, config


def unmapped(made):
    """Where everything stands that has no counterpart."""
    return {one.source for one in made.unmapped}


FILE = """
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: azure/gpt-4o-eu
      api_base: https://shop-eu.openai.azure.com/
      api_key: os.environ/AZURE_API_KEY_EU
      api_version: "2024-10-21"
      rpm: 100
      tpm: 50000
      stream_timeout: 20
  - model_name: gpt-4o
    litellm_params:
      model: azure/gpt-4o-us
      api_base: https://shop-us.openai.azure.com/
      api_key: sk-live-SECRET-us
      api_version: "2024-10-21"
      rpm: 40
      tpm: 20000
  - model_name: claude
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      api_key: sk-live-SECRET-anthropic
      temperature: 0.2
  - model_name: house
    litellm_params:
      model: hosted_vllm/meta-llama/Llama-3.1-8B-Instruct
      api_base: http://10.0.0.5:8000/v1
      input_cost_per_token: 0
      output_cost_per_token: 0.0000002
  - model_name: small
    litellm_params:
      model: ollama/llama3.2
  - model_name: "*"
    litellm_params:
      model: openai/*
      api_key: os.environ/OPENAI_API_KEY
  - model_name: groq/*
    litellm_params:
      model: groq/*
      api_key: os.environ/GROQ_API_KEY
  - model_name: titan
    litellm_params:
      model: bedrock/amazon.titan-text
      aws_secret_access_key: SECRET-aws-value
  - model_name: draw
    litellm_params: {model: openai/dall-e-3}
    model_info: {mode: image_generation}

litellm_settings:
  num_retries: 3
  fallbacks: [{"gpt-4o": ["claude", "house"]}]
  default_fallbacks: ["house"]
  cache: true
  cache_params: {type: local, ttl: 600}
  max_budget: 100
  budget_duration: 30d
  success_callback: ["langfuse"]

router_settings:
  routing_strategy: least-busy
  model_group_alias: {"gpt-4": "gpt-4o"}

general_settings:
  master_key: sk-live-SECRET-master
  database_url: "postgresql://u:SECRETpassword@db/litellm"
"""


@pytest.fixture
def result(tmp_path):
    return converted(tmp_path, FILE)


def route(config, name):
    (found,) = [one for one in config.routes if one.model == name]
    return found


def test_endpoints_are_deployments_by_address_and_keys_are_variables(result):
    made, config = result
    assert config.incumbent.model == "gpt-4o-eu"
    assert config.incumbent.base_url == (
        "https://shop-eu.openai.azure.com/openai/deployments/gpt-4o-eu?api-version=2024-10-21"
    )
    assert config.incumbent.api_key_env == "AZURE_API_KEY_EU"
    by_name = {one.name: one for one in config.endpoints}
    assert by_name["shop-us"].api_key_env == "AZURE_OPENAI_API_KEY"
    assert by_name["anthropic"].api == "anthropic" and by_name["anthropic"].api_key_env == "ANTHROPIC_API_KEY"
    assert by_name["10"].base_url == "http://10.0.0.5:8000/v1" and by_name["10"].api_key_env is None
    assert by_name["10"].price.completion == Decimal("0.2")
    assert by_name["ollama"].api == "ollama"
    variables = {one.name: one.source for one in made.environment}
    assert variables["AZURE_API_KEY_EU"] is None
    assert variables["ANTHROPIC_API_KEY"] == "model_list[2].litellm_params.api_key"


def test_groups_are_routes_and_their_fallbacks_follow(result):
    _, config = result
    first = route(config, "gpt-4o")
    assert first.incumbent == Target(endpoint="incumbent", model="gpt-4o-eu")
    assert [one.endpoint for one in first.fallback] == ["shop-us", "anthropic", "10"]
    assert (first.limits.requests_per_minute, first.limits.tokens_per_minute) == (140, 70000)
    assert first.first_byte_ms == 20000
    assert route(config, "gpt-4").incumbent == first.incumbent
    any_other = route(config, "*")
    assert (any_other.name, any_other.incumbent.model) == ("all", None)
    assert [one.endpoint for one in any_other.fallback] == ["10"]


def test_what_has_no_counterpart_is_named_and_nothing_is_silent(result):
    made, _ = result
    told = unmapped(made)
    assert {
        "model_list[6]",
        "model_list[7]",
        "model_list[8]",
        "general_settings",
        "litellm_settings.max_budget",
        "litellm_settings.success_callback",
        "router_settings.routing_strategy",
        "model_list[2].litellm_params.temperature",
    } <= told


def test_another_model_may_be_the_one_to_leave(tmp_path):
    _, config = converted(tmp_path, FILE, incumbent="claude")
    assert config.incumbent.model == "claude-sonnet-4-5" and config.incumbent.api == "anthropic"
    assert route(config, "claude").incumbent.endpoint == "incumbent"


def test_names_without_a_provider_are_their_makers(tmp_path):
    text = """
model_list:
  - {model_name: a, litellm_params: {model: claude-haiku-4-5}}
  - {model_name: b, litellm_params: {model: gpt-4o-mini}}
  - {model_name: c, litellm_params: {model: mine, api_base: "http://user:SECRET@gpu/v1?key=SECRET"}}
"""
    _, config = converted(tmp_path, text)
    assert config.incumbent.preset == "anthropic"
    assert [(one.preset, one.base_url) for one in config.endpoints][1] == (None, "http://gpu/v1")


def test_what_holds_for_some_deployments_only_is_named(tmp_path):
    text = """
model_list:
  - {model_name: a, litellm_params: {model: openai/x, rpm: 5}}
  - {model_name: a, litellm_params: {model: openai/y, stream_timeout: 3}}
  - {model_name: b, litellm_params: {api_key: os.environ/K}}
router_settings: {num_retries: 30, fallbacks: [{a: [gone]}]}
"""
    made, config = converted(tmp_path, text)
    (only,) = config.routes
    assert (only.limits.requests_per_minute, only.first_byte_ms) == (None, None)
    assert unmapped(made) == {
        "model_list[2]",
        "fallbacks to gone",
        "stream_timeout of model_list[0], model_list[1]",
        "requests_per_minute of model_list[0], model_list[1]",
        "model_list[2].litellm_params.api_key",
        "router_settings.num_retries",
    }


def test_fallbacks_that_unfold_without_end_are_refused(tmp_path):
    names = [f"m{n}" for n in range(200)]
    listed = [{"model_name": one, "litellm_params": {"model": f"openai/{one}"}} for one in names]
    with pytest.raises(InputError, match="unfold to more than"):
        converted(
            tmp_path,
            {"model_list": listed, "litellm_settings": {"default_fallbacks": names}},
        )


SMALL = (
    "model_list:\n- {model_name: gpt-4o, litellm_params: {model: openai/gpt-4o, api_key: sk-live-abcdef}}\n"
)


@pytest.mark.parametrize("text", ["a: 1\n", "- 1\n- 2\n", "model_list: []\n"])
def test_what_is_not_recognised_is_refused(text, tmp_path):
    with pytest.raises(InputError, match=r"not a configuration of LiteLLM|does not hold a mapping"):
        converted(tmp_path, text)


def test_an_incumbent_that_the_file_does_not_have_is_refused(tmp_path):
    with pytest.raises(UsageError, match="--incumbent typo: the file has nothing of this name"):
        converted(tmp_path, SMALL, incumbent="typo")


def test_where_the_file_names_no_model_the_incumbent_is_the_one_that_was_said(tmp_path):
    text = "model_list:\n- {model_name: '*', litellm_params: {model: openai/*}}\n"
    _, config = converted(tmp_path, text, incumbent="gpt-4o")
    assert (config.incumbent.preset, config.incumbent.model) == ("openai", "gpt-4o")


def test_a_file_of_which_nothing_can_be_taken_says_why(tmp_path):
    text = "model_list:\n- {model_name: t, litellm_params: {model: bedrock/titan}}\n"
    with pytest.raises(InputError, match="nothing in it could be converted: model_list"):
        converted(tmp_path, text)


def test_a_key_that_stands_elsewhere_too_is_not_copied_from_there(tmp_path):
    text = SMALL.replace("gpt-4o,", "sk-live-abcdef,", 1)
    with pytest.raises(InputError, match="looks like a key"):
        converted(tmp_path, text)


def test_keys_of_one_vendor_are_told_apart(tmp_path):
    more = SMALL + "- {model_name: b, litellm_params: {model: openai/gpt-4.1, api_key: sk-live-other}}\n"
    more += "- {model_name: c, litellm_params: {model: openai/gpt-5, api_key: sk-live-abcdef}}\n"
    made, config = converted(tmp_path, more)
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
    made, config = converted(tmp_path, "model_list:\n" + "".join(entries if literal_first else entries[::-1]))
    place = f"model_list[{0 if literal_first else 1}].litellm_params.api_key"
    assert {one.name: one.source for one in made.environment} == {
        "OPENAI_API_KEY": None,
        "OPENAI_API_KEY_2": place,
    }
    asked = {one.model: one.incumbent.endpoint for one in config.routes}
    assert asked["a"] != asked["b"]


HOSTILE = 'x"]\n[capture]\nmode = "raw"\u202e\x07'


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
    made, config = converted(tmp_path, text)
    assert config.capture.mode == "off"
    assert config.routes[0].model == HOSTILE.strip()
    assert all(one.source.isprintable() for one in made.unmapped)


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("http://user:SECRET@host:8000/v1?key=SECRET#x", "http://host:8000/v1"),
        ("https://h/openai?api-version=2024-10-21&sig=SECRET", "https://h/openai?api-version=2024-10-21"),
        ("https://h/v1/chat/completions", "https://h/v1"),
        ("http://[::1]:8000/v1/", "http://[::1]:8000/v1"),
        ("file:///etc/passwd", None),
        ("https://${HOST}/v1", None),
        ("http://h:99999/v1", None),
        ("", None),
    ],
)
def test_addresses_lose_what_may_be_secret(url, clean):
    assert clean_url(url) == clean


BILLION = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
MERGED = "a0: &a0 {k0: 1}\n" + "".join(
    f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 10)}]\n  k{n}: 1\n" for n in range(1, 12)
)


def read(tmp_path, text, name="c.yaml"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_document(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BILLION, "values or"),
        ("a: &a [*a]\n", "values or"),
        ("[" * 2000, "YAML|deep"),
        ("a:\n" + "".join(" " * n + "- a:\n" for n in range(1, 400, 2)), "values or|deep|YAML"),
        ("!!python/object/apply:os.system ['touch ran']\n", "more than plain values"),
        ("a: !include other.yaml\n", "more than plain values"),
        ("a: [1, 2\n", "not valid YAML"),
        ("just text\n", "does not hold a mapping"),
        ("", "does not hold a mapping"),
        (b"a: \xff\xfe\n", "not UTF-8"),
        ("a: " + "x" * MOST_BYTES, "more than"),
    ],
)
def test_what_may_do_harm_is_refused(text, said, tmp_path):
    with pytest.raises(InputError, match=said):
        read(tmp_path, text)
    assert not (tmp_path / "ran").exists()


def test_merged_keys_unfold_within_the_same_bounds(tmp_path):
    with pytest.raises(InputError, match="values or"):
        read(tmp_path, MERGED)


def test_anchors_that_people_use_are_read(tmp_path):
    found = read(tmp_path, "base: &base {temperature: 0}\na: *base\nb: {<<: *base, max_tokens: 3}\n")
    assert found["a"] == {"temperature": "0"} and found["b"] == {"temperature": "0", "max_tokens": "3"}


def test_json_is_yaml_too(tmp_path):
    assert read(tmp_path, '{"a": [1]}', "a.json") == {"a": ["1"]}
    with pytest.raises(InputError, match=r"nested too deep|not valid"):
        read(tmp_path, "[" * 100_000, "c.json")


def test_a_folder_a_pipe_and_nothing_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "absent"):
        with pytest.raises(InputError):
            read_document(path)
