"""`freehold engines`: what is said of each engine, and what is removed."""

from freehold.settings import load
from freehold.workflows.serve.engines import list_engines


def test_an_engine_is_only_called_available_where_it_can_be_used(tmp_path, monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    lines = {line.name: line for line in list_engines(load({"FREEHOLD_HOME": str(tmp_path)}))}
    assert not lines["ollama"].available
    assert "no Ollama answers at http://127.0.0.1:9" in lines["ollama"].note
    assert not lines["vllm"].available
    assert lines["vllm"].note.startswith("freehold engines install vllm")
    assert lines["echo"].available and lines["remote"].available
