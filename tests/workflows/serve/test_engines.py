"""`freehold engines`: what is said of each engine, and what is removed."""

from freehold.engines.llamacpp.native import StreamSpeed
from freehold.settings import load
from freehold.workflows.serve.engines import faster, list_engines


def test_an_engine_is_only_called_available_where_it_can_be_used(tmp_path, monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    lines = {line.name: line for line in list_engines(load({"FREEHOLD_HOME": str(tmp_path)}))}
    assert not lines["ollama"].available
    assert "no Ollama answers at http://127.0.0.1:9" in lines["ollama"].note
    assert not lines["vllm"].available
    assert lines["vllm"].note.startswith("freehold engines install vllm")
    assert lines["echo"].available and lines["remote"].available


def test_the_faster_one_is_chosen_by_both_speeds():
    slow = StreamSpeed(prompt_tokens_per_second=280, completion_tokens_per_second=90)
    assert faster(StreamSpeed(prompt_tokens_per_second=1300, completion_tokens_per_second=217), slow)
    assert not faster(StreamSpeed(prompt_tokens_per_second=300, completion_tokens_per_second=60), slow)
