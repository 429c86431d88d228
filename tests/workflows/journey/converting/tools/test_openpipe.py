import json
import shutil
import subprocess

import pytest
from tests.workflows.journey.converting.converted import converted

from freehold.datasets import importing
from freehold.types.config import DataConfig

LOG = {
    "input": {"model": "openpipe:queues", "messages": [{"role": "user", "content": "card"}]},
    "output": {"id": "c", "model": "openpipe:queues", "object": "chat.completion",
               "choices": [{"index": 0, "message": {"role": "assistant", "content": "billing"}}]},
    "tags": {"team": "shop"},
}  # fmt: skip
ENTRY = {
    "messages": [{"role": "user", "content": "card"}, {"role": "assistant", "content": "billing"}],
    "split": "TRAIN",
}
MODEL = {
    "id": "m1", "name": "queues", "object": "model", "created": "2025-01-01", "updated": "2025-01-01",
    "openpipe": {"baseModel": "meta-llama/Llama-3.1-8B-Instruct", "hyperparameters": {"num_epochs": 2}},
}  # fmt: skip


def lines(*records):
    return "".join(json.dumps(one) + "\n" for one in records)


def read(path, data):
    return [one for one in importing.read(path, data) if isinstance(one, importing.Imported)]


def test_request_logs_name_the_incumbent_and_how_they_are_read(tmp_path):
    made, config = converted(tmp_path, "logs.jsonl", lines(LOG, LOG))
    assert made.tool == "openpipe"
    assert (config.incumbent.model, config.incumbent.api_key_env) == ("openpipe:queues", "OPENPIPE_API_KEY")
    (command,) = made.commands
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    subprocess.run(["bash", "-c", command.replace("FILE", "logs.jsonl")], cwd=tmp_path, check=True)
    assert len(read(tmp_path / config.data.files[0], DataConfig())) == 2


def test_a_dataset_is_data_with_right_answers(tmp_path):
    _, config = converted(tmp_path, "dataset.jsonl", lines(ENTRY, ENTRY), incumbent="openpipe:queues")
    assert (config.data.answers, config.data.files) == ("gold", ("dataset.jsonl",))
    found = read(tmp_path / "dataset.jsonl", config.data)
    assert len(found) == 2 and found[0].response is not None


def test_a_model_names_its_base_as_the_candidate(tmp_path):
    _, config = converted(tmp_path, "model.json", MODEL)
    assert config.incumbent.model == "openpipe:queues"
    assert [(one.model, one.method) for one in config.candidates] == [
        ("meta-llama/Llama-3.1-8B-Instruct", "lora")
    ]
    assert config.train.epochs == 2
