"""The table of engines: each keeps the contract before a start, and a session starts and stops it."""

import pytest

from freehold import engines
from freehold.engines.echo_answers import EchoOptions
from freehold.engines.engine import ENGINES, Presence, check, read_options
from freehold.engines.llamacpp import native
from freehold.errors import EngineError, MissingExtraError, UsageError
from freehold.settings import load
from freehold.types.endpoint import ServePlan
from freehold.types.engine import ENGINE_KINDS

NEEDED = {"remote": {"base_url": "http://127.0.0.1:9"}}


@pytest.fixture
def settings(tmp_path):
    return load({"FREEHOLD_HOME": str(tmp_path)})


def test_every_kind_has_an_engine():
    assert set(ENGINES) == set(ENGINE_KINDS)
    with pytest.raises(UsageError, match="no engine is called 'llama'") as caught:
        engines.load("llama")
    assert caught.value.hint == f"engines: {', '.join(ENGINES)}"


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_says_whether_it_is_here_and_refuses_unknown_options(name, settings, monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    engine = engines.load(name)
    assert engine.kind is ENGINE_KINDS[name]
    presence = engine.presence(settings)
    assert isinstance(presence, Presence) and presence.note
    wrong = {**NEEDED.get(name, {}), "nothing": 1}
    with pytest.raises(UsageError, match="unknown option nothing"):
        engine.require(wrong, settings)
    with pytest.raises(UsageError, match="unknown option nothing"):
        check(ServePlan(engine=name, model="m", options=wrong), settings)


def test_the_settings_say_where_an_engine_lies(settings, tmp_path):
    native.folder(settings.home).mkdir(parents=True)
    program = native.folder(settings.home) / "llama-server"
    program.touch()
    build = native.NativeBuild(
        version="1", binary=str(program), sha256="", cpu=native.cpu_name(), flags=(), compiler="cc"
    )
    native.record(settings.home, build)
    engine = engines.load("llamacpp")
    other = load({"FREEHOLD_HOME": str(tmp_path / "other")})
    notes = [engine.presence(one).note for one in (settings, other)]
    assert notes[0] != notes[1] and notes[0].startswith("built for this CPU")


def test_an_engine_that_is_not_here_is_told_before_the_work(settings, monkeypatch):
    with pytest.raises(EngineError, match="vLLM is not installed") as caught:
        engines.load("vllm").require({}, settings)
    assert "freehold engines install vllm" in caught.value.hint
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"the llama\.cpp engine") as caught:
        engines.load("llamacpp").require({"binary": "library"}, settings)
    assert "freehold[local]" in caught.value.hint
    engines.load("echo").require({}, settings)


@pytest.mark.anyio
async def test_a_plan_is_checked_before_its_engine_starts(settings, tmp_path):
    plan = ServePlan(engine="echo", model="m", options={"failure_rate": 2})
    with pytest.raises(UsageError, match="failure_rate is 2"):
        await engines.start(plan, log_dir=tmp_path, name="mine", settings=settings).start()


@pytest.mark.parametrize("options", [{"delay_mss": 5}, {"delay_ms": "soon"}])
def test_a_wrong_name_or_type_names_engine_and_option(options):
    with pytest.raises(UsageError, match=r"engine echo: .*delay_ms"):
        read_options(options, EchoOptions, "echo")
