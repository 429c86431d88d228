from decimal import Decimal

import pytest
from tests.workflows.journey.converting.converted import converted, unmapped

from freehold.errors import InputError
from freehold.types.route import Target

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
    return converted(tmp_path, "config.yaml", FILE)


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
    assert "freehold keys limit --label LABEL usd_per_month=100" in made.commands


def test_another_model_may_be_the_one_to_leave(tmp_path):
    _, config = converted(tmp_path, "config.yaml", FILE, incumbent="claude")
    assert config.incumbent.model == "claude-sonnet-4-5" and config.incumbent.api == "anthropic"
    assert route(config, "claude").incumbent.endpoint == "incumbent"


def test_names_without_a_provider_are_their_makers(tmp_path):
    text = """
model_list:
  - {model_name: a, litellm_params: {model: claude-haiku-4-5}}
  - {model_name: b, litellm_params: {model: gpt-4o-mini}}
  - {model_name: c, litellm_params: {model: mine, api_base: "http://user:SECRET@gpu/v1?key=SECRET"}}
"""
    _, config = converted(tmp_path, "c.yaml", text)
    assert config.incumbent.preset == "anthropic"
    assert [(one.preset, one.base_url) for one in config.endpoints][1] == (None, "http://gpu/v1")


def test_what_holds_for_some_deployments_only_is_named(tmp_path):
    text = """
model_list:
  - {model_name: a, litellm_params: {model: openai/x, rpm: 5}}
  - {model_name: a, litellm_params: {model: openai/y, stream_timeout: 3}}
  - {model_name: b, litellm_params: {api_key: os.environ/K}}
router_settings: {cache: true, num_retries: 30, fallbacks: [{a: [gone]}]}
"""
    made, config = converted(tmp_path, "c.yaml", text)
    (only,) = config.routes
    assert (only.limits.requests_per_minute, only.first_byte_ms) == (None, None)
    assert [(one.source, one.why.split(":")[0].split(",")[0]) for one in made.unmapped] == [
        ("model_list[2]", "an entry without model_name"),
        ("fallbacks", "gone is not among the models that were converted"),
        ("model_list[0], model_list[1]", "a stream_timeout for each deployment"),
        ("model_list[0], model_list[1]", "requests_per_minute of some of its deployments"),
        ("model_list[2].litellm_params.api_key", "freehold has nothing of the kind"),
    ]
    assert {
        "repeats are answered from memory for an hour",
        "a failed connection is asked again 10 times",
    } <= {one.split(":")[0].split(",")[0] for one in made.assumed}


def test_fallbacks_that_unfold_without_end_are_refused(tmp_path):
    names = [f"m{n}" for n in range(200)]
    listed = [{"model_name": one, "litellm_params": {"model": f"openai/{one}"}} for one in names]
    with pytest.raises(InputError, match="unfold to more than"):
        converted(
            tmp_path,
            "c.json",
            {"model_list": listed, "litellm_settings": {"default_fallbacks": names}},
        )
