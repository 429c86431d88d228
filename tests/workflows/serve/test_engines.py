"""`freehold engines`: what is said of each engine, and what is removed."""

import pytest

from freehold.engines.llamacpp import native
from freehold.engines.llamacpp.native import StreamSpeed
from freehold.progress import Silent
from freehold.settings import load
from freehold.types.endpoint import ServePlan
from freehold.workflows.serve import engines
from freehold.workflows.serve.engines import faster, list_engines


def test_an_engine_is_only_called_available_where_it_can_be_used(tmp_path, monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    lines = {line.name: line for line in list_engines(load({"FREEHOLD_HOME": str(tmp_path)}))}
    assert not lines["ollama"].available
    assert "no Ollama answers at http://127.0.0.1:9" in lines["ollama"].note
    assert not lines["vllm"].available
    assert lines["vllm"].note.startswith("freehold engines install vllm")
    assert lines["echo"].available and lines["remote"].available


@pytest.mark.parametrize(("load_average", "warned"), [(6.0, True), (0.1, False)])
def test_a_comparison_on_a_busy_machine_says_so(tmp_path, monkeypatch, load_average, warned):
    async def measured(plan, **_):
        return native.StreamSpeed(prompt_tokens_per_second=9, completion_tokens_per_second=9)

    said = []
    shown = Silent()
    monkeypatch.setattr(shown, "say", said.append, raising=False)
    monkeypatch.setattr(engines, "load_average", lambda: load_average)
    monkeypatch.setattr(engines, "measure", measured)
    monkeypatch.setattr(
        engines,
        "pull_and_plan",
        lambda *_, **__: ServePlan(engine="llamacpp", model="m", weights_path="w.gguf"),
    )
    built = native.NativeBuild(version="1", binary="b", sha256="0" * 64, cpu="c", flags=(), compiler="cc")
    home = load({"FREEHOLD_HOME": str(tmp_path)})
    native.folder(home.home).mkdir(parents=True)
    engines.compare(built, home, log_dir=tmp_path, progress=shown)
    assert any("other work wants the cores" in text for text in said) == warned


def test_the_faster_one_is_chosen_by_both_speeds():
    slow = StreamSpeed(prompt_tokens_per_second=280, completion_tokens_per_second=90)
    assert faster(StreamSpeed(prompt_tokens_per_second=1300, completion_tokens_per_second=217), slow)
    assert not faster(StreamSpeed(prompt_tokens_per_second=300, completion_tokens_per_second=60), slow)
