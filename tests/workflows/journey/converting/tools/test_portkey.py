from tests.workflows.journey.converting.converted import converted, unmapped

from freehold.types.route import Target

FILE = {
    "strategy": {"mode": "fallback", "on_status_codes": [429, 503]},
    "retry": {"attempts": 7, "on_status_codes": [429]},
    "cache": {"mode": "simple", "max_age": 900},
    "request_timeout": 15000,
    "targets": [
        {"provider": "openai", "api_key": "sk-live-one", "override_params": {"model": "gpt-4o", "temperature": 0}},
        {
            "strategy": {"mode": "loadbalance"},
            "targets": [
                {"provider": "@groq-prod", "weight": 0.3, "override_params": {"model": "llama-3.3-70b"}},
                {"provider": "openai", "custom_host": "http://gpu:8000/v1", "weight": 0.7,
                 "override_params": {"model": "house"}},
            ],
        },
        {"virtual_key": "team-x-7781"},
    ],
    "output_guardrails": [{"default.contains": {"words": ["x"]}}],
}  # fmt: skip


def test_targets_are_asked_in_their_order(tmp_path):
    made, config = converted(tmp_path, "portkey.json", FILE)
    assert made.tool == "portkey"
    assert (config.incumbent.preset, config.incumbent.model) == ("openai", "gpt-4o")
    (route,) = config.routes
    assert route.model == "*" and route.incumbent == Target(endpoint="incumbent", model="gpt-4o")
    assert [(one.endpoint, one.model) for one in route.fallback] == [
        ("gpu", "house"),
        ("groq", "llama-3.3-70b"),
    ]
    assert (route.waits.retries, route.waits.first_byte_ms) == (7, 15000)
    assert route.cache.seconds == 900
    assert {one.name for one in made.environment} == {"OPENAI_API_KEY", "GROQ_API_KEY"}


def test_guards_stored_keys_and_settings_of_requests_are_named(tmp_path):
    made, _ = converted(tmp_path, "portkey.json", FILE)
    assert {"output_guardrails", "targets[2]", "targets[0].override_params.temperature"} <= unmapped(made)
    assert any("largest weight" in one for one in made.assumed)


def test_keys_in_camel_case_and_azure(tmp_path):
    made, config = converted(
        tmp_path,
        "c.json",
        {
            "provider": "azure-openai",
            "apiKey": "sk-live-azure",
            "resourceName": "shop",
            "deploymentId": "gpt-4o",
            "apiVersion": "2024-10-21",
            "overrideParams": {"model": "gpt-4o"},
        },
    )
    assert config.incumbent.base_url == (
        "https://shop.openai.azure.com/openai/deployments/gpt-4o?api-version=2024-10-21"
    )
    assert made.environment[0].name == "AZURE_OPENAI_API_KEY"


def test_a_condition_has_no_counterpart_and_its_default_answers(tmp_path):
    made, config = converted(
        tmp_path,
        "c.json",
        {
            "strategy": {"mode": "conditional", "conditions": [{"query": {}, "then": "b"}], "default": "a"},
            "targets": [
                {
                    "name": "b",
                    "provider": "openai",
                    "api_key": "sk-live-1",
                    "override_params": {"model": "gpt-4o"},
                },
                {
                    "name": "a",
                    "provider": "mistral-ai",
                    "api_key": "sk-live-2",
                    "override_params": {"model": "m"},
                },
            ],
        },
    )
    assert config.incumbent.preset == "mistral"
    assert "strategy.conditions" in unmapped(made)
