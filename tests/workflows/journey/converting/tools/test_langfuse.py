from tests.workflows.journey.converting.converted import converted, unmapped

from freehold.datasets import importing
from freehold.types.config import DataConfig

PROMPTS = [
    {"name": "queue", "version": 1, "type": "text", "prompt": "Old.", "labels": [], "config": {"model": "gpt-4"}},
    {"name": "queue", "version": 2, "type": "chat", "labels": ["production"], "tags": [],
     "prompt": [{"role": "system", "content": "Name the queue."}, {"role": "user", "content": "{{ticket}}"}],
     "config": {"model": "gpt-4o", "temperature": 0.1, "max_tokens": 30}},
]  # fmt: skip
CONNECTIONS = {
    "data": [
        {"id": "1", "provider": "openai", "adapter": "openai", "displaySecretKey": "...abcd", "baseURL": None,
         "customModels": ["gpt-4o"], "withDefaultModels": True, "extraHeaderKeys": ["x-team"],
         "createdAt": "2026-01-01", "updatedAt": "2026-01-01"},
        {"id": "2", "provider": "house", "adapter": "openai", "displaySecretKey": "...efgh",
         "baseURL": "http://gpu:8000/v1", "customModels": ["llama"], "withDefaultModels": False, "extraHeaderKeys": []},
        {"id": "3", "provider": "cloud", "adapter": "bedrock", "displaySecretKey": "...ijkl", "customModels": [],
         "withDefaultModels": True, "extraHeaderKeys": []},
    ],
    "meta": {"page": 1},
}  # fmt: skip


def observation(number):
    return {
        "id": f"o{number}", "traceId": f"t{number}", "type": "GENERATION", "model": "gpt-4o-mini", "name": "x",
        "startTime": "2026-01-01T00:00:00Z", "projectId": "p",
        "input": [{"role": "user", "content": f"ticket {number}"}],
        "output": {"role": "assistant", "content": "billing"},
    }  # fmt: skip


def test_the_prompt_in_production_is_the_task(tmp_path):
    made, config = converted(tmp_path, "prompts.json", PROMPTS)
    assert made.tool == "langfuse"
    assert config.incumbent.model == "gpt-4o"
    assert (config.data.system, config.task.max_tokens) == ("Name the queue.", 30)
    assert {"prompt.config.temperature", "the other prompts"} <= unmapped(made)


def test_connections_are_endpoints(tmp_path):
    made, config = converted(tmp_path, "connections.json", CONNECTIONS)
    assert (config.incumbent.preset, config.incumbent.model) == ("openai", "gpt-4o")
    assert [(one.name, one.base_url) for one in config.endpoints] == [("gpu", "http://gpu:8000/v1")]
    assert [one.model for one in config.routes] == ["gpt-4o", "llama"]
    assert {"data[0].extraHeaderKeys", "data[2]"} <= unmapped(made)


def test_observations_are_traffic_that_the_import_reads(tmp_path):
    made, config = converted(tmp_path, "export.json", [observation(number) for number in range(3)])
    assert (config.incumbent.model, config.data.files) == ("gpt-4o-mini", ("export.json",))
    found = list(importing.read(tmp_path / config.data.files[0], DataConfig(format=config.data.format)))
    assert len(found) == 3 and all(isinstance(one, importing.Imported) for one in found)
    assert made.path is not None


def test_labels_of_another_kind_and_models_without_a_name_count_for_nothing(tmp_path):
    odd = {**PROMPTS[1], "version": 3, "labels": 1, "config": {"model": "gpt-5"}}
    _, config = converted(tmp_path, "prompts.json", [*PROMPTS, odd])
    assert config.incumbent.model == "gpt-4o"
    named = {"provider": "p", "adapter": "openai", "customModels": ["", "gpt-4o"]}
    _, config = converted(tmp_path, "connections.json", [named], replace=True)
    assert [one.model for one in config.routes] == ["gpt-4o"]
