"""What only Ollama's engine does: contexts set and proven, models made and removed."""

import struct

import pytest
from tests.engines.ollama.fake import fake_ollama

from freehold import engines
from freehold.engines.ollama import OllamaOptions
from freehold.errors import EngineError, InputError
from freehold.types.endpoint import AdapterMount, ServePlan

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ollama(anyio_backend):
    async with fake_ollama() as found:
        yield found


def plan(url, **fields):
    fields = {"context_tokens": 4096, **fields}
    return ServePlan(
        engine="ollama", model="base", options={"base_url": url, "model": "smollm2:135m"}, **fields
    )


def test_an_adapter_that_was_taught_calls_is_for_another_engine():
    mount = AdapterMount(name="base:calls", path="x.gguf", chat_template="with calls")
    with pytest.raises(EngineError, match="base:calls was taught its calls with a chat template") as caught:
        engines.check(plan("http://127.0.0.1:1", adapters=(mount,)))
    assert "llama.cpp or vLLM" in caught.value.hint


async def test_the_context_is_set_and_what_was_made_is_removed(ollama, tmp_path):
    fake, url = ollama
    adapter = tmp_path / "adapter.gguf"
    adapter.write_bytes(b"GGUF" + bytes(60))
    mounts = (AdapterMount(name="base:shop", path=str(adapter), adapter_id="a1"),)
    async with engines.start(plan(url, adapters=mounts), log_dir=tmp_path, name="x") as endpoint:
        contexts = {body["parameters"]["num_ctx"] for body in fake.created.values()}
        assert len(fake.created) == 2 and contexts == {4096}
        assert endpoint.served("base:shop").adapter_id == "a1"
        assert endpoint.capabilities.tools
    assert fake.created == {}


async def test_an_adapter_of_another_base_is_refused_with_both_hashes(ollama, tmp_path):
    fake, url = ollama
    adapter = tmp_path / "adapter.gguf"
    adapter.write_bytes(b"GGUF" + bytes(60))
    mount = AdapterMount(name="base:shop", path=str(adapter), base_sha256="e" * 64)
    with pytest.raises(EngineError) as caught:
        await engines.start(plan(url, adapters=(mount,)), log_dir=tmp_path, name="x").start()
    assert "e" * 64 in caught.value.message and fake.base in caught.value.message
    assert fake.created == {}, "nothing was made of it"
    fake.base = "e" * 64
    async with engines.start(plan(url, adapters=(mount,)), log_dir=tmp_path, name="x"):
        assert len(fake.created) == 2


async def test_a_context_that_was_not_loaded_is_an_error(ollama, tmp_path):
    fake, url = ollama
    fake.context_limit = 2048
    with pytest.raises(EngineError, match="context of 2048 tokens, 4096 were asked for"):
        await engines.start(plan(url), log_dir=tmp_path, name="x").start()
    assert fake.created == {}, "nothing is left behind"


async def test_mistakes_are_one_line(ollama, tmp_path):
    fake, url = ollama
    with pytest.raises(EngineError, match="context of 8192 tokens, 10000 were asked for"):
        await engines.start(plan(url, context_tokens=10_000), log_dir=tmp_path, name="x").start()
    other = ServePlan(engine="ollama", model="qwen9", options={"base_url": url})
    with pytest.raises(EngineError, match="has no model qwen9") as caught:
        await engines.start(other, log_dir=tmp_path, name="x").start()
    assert caught.value.hint == "ollama pull qwen9"
    fake.version = "0.1.30"
    with pytest.raises(EngineError, match=r"Ollama 0\.1\.30 is too old"):
        await engines.start(plan(url), log_dir=tmp_path, name="x").start()
    with pytest.raises(EngineError, match="no Ollama answers"):
        await engines.start(plan("http://127.0.0.1:9"), log_dir=tmp_path, name="x").start()


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0:11500", "http://127.0.0.1:11500"),
        ("127.0.0.1", "http://127.0.0.1:11434"),
        ("ollama.lan", "http://ollama.lan:11434"),
        ("[::1]", "http://[::1]:11434"),
        ("https://ollama.lan/", "https://ollama.lan"),
    ],
)
async def test_the_address_is_read_as_ollama_writes_it(monkeypatch, host, url):
    monkeypatch.setenv("OLLAMA_HOST", host)
    assert OllamaOptions().url == url
    monkeypatch.delenv("OLLAMA_HOST")
    assert OllamaOptions().url == "http://127.0.0.1:11434"


async def test_a_model_that_is_not_there_is_pulled_when_asked(ollama, tmp_path):
    fake, url = ollama
    asked = ServePlan(
        engine="ollama", model="tinyllama", context_tokens=512, options={"base_url": url, "pull": True}
    )
    async with engines.start(asked, log_dir=tmp_path, name="x") as endpoint:
        assert endpoint.served("tinyllama") and "tinyllama" in fake._models
    unknown = ServePlan(
        engine="ollama", model="nobody", context_tokens=512, options={"base_url": url, "pull": True}
    )
    with pytest.raises(EngineError, match="cannot pull nobody: pull model manifest: file does not exist"):
        await engines.start(unknown, log_dir=tmp_path, name="x").start()


async def test_an_adapter_of_peft_comes_with_its_configuration(ollama, tmp_path):
    fake, url = ollama
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}" + bytes(60))
    mounts = (AdapterMount(name="base:shop", path=str(folder)),)
    with pytest.raises(InputError, match=r"has no adapter_config\.json here"):
        engines.check(plan(url, adapters=mounts))
    config = folder / "adapter_config.json"
    config.write_text('{"r": 4, "lora_alpha": 8}')
    async with engines.start(plan(url, adapters=mounts), log_dir=tmp_path, name="x"):
        (sent,) = [body["adapters"] for body in fake.created.values() if "adapters" in body]
        assert set(sent) == {"adapter_config.json", "adapter_model.safetensors"}
    config.write_text('{"use_dora": true}')
    with pytest.raises(EngineError, match="is a DoRA adapter"):
        engines.check(plan(url, adapters=mounts))
