from tests.workflows.journey.converting.converted import converted, unmapped

FILE = """
[gateway]
observability.enabled = true

[models.house]
routing = ["vllm", "rented"]

[models.house.providers.vllm]
type = "vllm"
api_base = "http://gpu:8000/v1/"
model_name = "meta-llama/Llama-3.1-8B-Instruct"
api_key_location = "none"

[models.house.providers.rented]
type = "together"
model_name = "meta-llama/Llama-3.1-8B-Instruct-Turbo"
api_key_location = "env::TOGETHER_KEY"

[functions.extract]
type = "json"
output_schema = "schema.json"

[functions.extract.variants.small]
type = "chat_completion"
model = "house"
weight = 0.1
system_template = "system.minijinja"

[functions.extract.variants.large]
type = "chat_completion"
model = "openai::gpt-4o-2024-08-06"
weight = 0.9
temperature = 0.0

[functions.extract.variants.many]
type = "experimental_best_of_n_sampling"
model = "openai::gpt-4o-2024-08-06"

[metrics.correct]
type = "boolean"

[evaluations.e]
type = "inference"
function_name = "extract"

[evaluations.e.evaluators.same]
type = "exact_match"

[[rate_limiting.rules]]
always = true
model_inferences_per_minute = 120
tokens_per_hour = 1000000

[[rate_limiting.rules]]
priority = 0
model_inferences_per_minute = 1
scope = [{ tag_key = "user_id", tag_value = "tensorzero::each" }]
"""


def test_the_variant_that_answers_most_is_the_incumbent_and_the_others_are_candidates(tmp_path):
    made, config = converted(tmp_path, "tensorzero.toml", FILE)
    assert made.tool == "tensorzero"
    assert (config.incumbent.preset, config.incumbent.model) == ("openai", "gpt-4o-2024-08-06")
    (candidate,) = config.candidates
    assert (candidate.model, candidate.method) == ("meta-llama/Llama-3.1-8B-Instruct", "as_is")
    endpoint = {one.name: one for one in config.endpoints}[candidate.endpoint]
    assert (endpoint.base_url, endpoint.api_key_env) == ("http://gpu:8000/v1", None)
    assert config.task.scorer == "exact"


def test_models_and_functions_are_routes_by_the_names_that_clients_send(tmp_path):
    made, config = converted(tmp_path, "tensorzero.toml", FILE)
    routes = {one.model: one for one in config.routes}
    assert set(routes) == {"tensorzero::model_name::house", "tensorzero::function_name::extract"}
    assert [one.endpoint for one in routes["tensorzero::model_name::house"].fallback] == ["together"]
    assert all(one.limits.requests_per_minute == 120 for one in routes.values())
    assert {one.name for one in made.environment} >= {"OPENAI_API_KEY", "TOGETHER_KEY"}


def test_templates_hours_tags_and_the_rest_are_named(tmp_path):
    made, _ = converted(tmp_path, "tensorzero.toml", FILE)
    assert {
        "gateway",
        "metrics",
        "functions.extract.variants.many",
        "functions.extract.variants.small.system_template",
        "rate_limiting.rules[0].tokens_per_hour",
        "rate_limiting.rules[1]",
    } <= unmapped(made)


def test_a_judge_is_the_scorer_where_nothing_else_is(tmp_path):
    text = """
[functions.f]
type = "chat"
variants.a = { type = "chat_completion", model = "anthropic::claude-haiku-4-5" }
[evaluations.e]
function_name = "f"
[evaluations.e.evaluators.j]
type = "llm_judge"
variants.v = { type = "chat_completion", model = "openai::gpt-4o-mini" }
"""
    _, config = converted(tmp_path, "tensorzero.toml", text)
    assert config.task.scorer == "judge"
    assert config.task.options == {
        "base_url": "https://api.openai.com/v1",
        "model": "gpt-4o-mini",
        "api_key_env": "OPENAI_API_KEY",
    }
