import tomllib

import pytest
from tests.workflows.journey.converting.converted import converted, unmapped

from freehold.workflows.journey.converting.convert import ConvertRequest, convert

FILE = """
# yaml-language-server: $schema=https://promptfoo.dev/config-schema.json
description: Which queue does a ticket belong to?
prompts:
  - 'Name the queue of this ticket: {{ticket}}'
providers:
  - id: openai:chat:gpt-4o
    config: &same
      temperature: 0
      max_tokens: 20
      apiKey: sk-live-promptfoo-key
  - id: openai:chat:gpt-4o-mini
    config: *same
  - anthropic:messages:claude-haiku-4-5
  - ollama:chat:llama3.2
  - id: openai:chat:house
    label: ours
    config: {apiBaseUrl: "http://gpu:8000/v1", apiKeyEnvar: HOUSE_KEY}
  - file://provider.py
defaultTest:
  assert:
    - type: equals
      value: '{{expected}}'
    - type: javascript
      value: output.length < 20
tests: file://tests.csv
outputPath: out.json
"""


def test_the_first_provider_is_the_incumbent_and_the_others_are_candidates(tmp_path):
    made, config = converted(tmp_path, "promptfooconfig.yaml", FILE)
    assert made.tool == "promptfoo"
    assert (config.incumbent.preset, config.incumbent.model) == ("openai", "gpt-4o")
    assert [one.model for one in config.candidates] == [
        "gpt-4o-mini",
        "claude-haiku-4-5",
        "llama3.2",
        "house",
    ]
    by_name = {one.name: one for one in config.endpoints}
    house = by_name[config.candidates[3].endpoint]
    assert (house.base_url, house.api_key_env) == ("http://gpu:8000/v1", "HOUSE_KEY")
    assert by_name[config.candidates[2].endpoint].api == "ollama"


def test_the_prompt_the_table_and_the_assertion_become_data_and_task(tmp_path):
    made, config = converted(tmp_path, "promptfooconfig.yaml", FILE)
    assert (config.data.input, config.data.system) == ("ticket", "Name the queue of this ticket")
    assert (config.data.files, config.data.label) == (("tests.csv",), "__expected")
    assert (config.task.scorer, config.task.max_tokens) == ("exact", 20)
    assert {"providers[5]", "assert: javascript", "outputPath"} <= unmapped(made)


@pytest.mark.parametrize(
    ("kind", "scorer"), [("icontains", "contains"), ("is-json", "json_fields"), ("regex", "regex")]
)
def test_assertions_of_the_tests_count_too(kind, scorer, tmp_path):
    tests = "\n".join(f"  - {{vars: {{q: a}}, assert: [{{type: {kind}, value: x}}]}}" for _ in range(3))
    text = f"providers: [openai:gpt-4o]\nprompts: ['{{{{q}}}}']\ntests:\n{tests}\n"
    made, config = converted(tmp_path, "p.yaml", text)
    assert config.task.scorer == scorer
    assert "3 that stand in the file itself" in next(
        one.why for one in made.unmapped if one.source == "tests"
    )


def test_a_rubric_needs_a_model_that_grades(tmp_path):
    text = """
providers: [openai:gpt-4o]
prompts: [file://p.txt]
tests: [{assert: [{type: llm-rubric, value: polite}]}]
"""
    made, config = converted(tmp_path, "p.yaml", text)
    assert config.task.scorer == "exact" and "assert: llm-rubric" in unmapped(made)
    named = text + "defaultTest: {options: {provider: 'openai:chat:gpt-4o-mini'}}\n"
    _, config = converted(tmp_path, "q.yaml", named, replace=True)
    assert config.task.scorer == "judge" and config.task.options["model"] == "gpt-4o-mini"


def test_tests_outside_of_the_folder_are_not_named(tmp_path):
    text = "providers: [openai:gpt-4o]\nprompts: [a]\ntests: [file:///etc/x.csv, file://../y.csv]\n"
    made, config = converted(tmp_path, "p.yaml", text)
    assert config.data.files == () and "tests" in unmapped(made)


def test_tests_are_named_from_the_projects_folder(tmp_path):
    (tmp_path / "evals").mkdir()
    file = tmp_path / "evals" / "p.yaml"
    file.write_text("providers: [openai:gpt-4o]\nprompts: [a]\ntests: file://cases/x.csv\n")
    inside = convert(ConvertRequest(file=file, folder=tmp_path))
    assert tomllib.loads(inside.toml)["data"]["files"] == ["evals/cases/x.csv"]
    (tmp_path / "app").mkdir()
    outside = convert(ConvertRequest(file=file, folder=tmp_path / "app"))
    assert tomllib.loads(outside.toml)["data"]["files"] == [str(tmp_path / "evals" / "cases" / "x.csv")]
