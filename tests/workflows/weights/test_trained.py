"""Adapters as they are attached, and what training left of them."""

import msgspec
import pytest

from freehold.errors import EngineError, InputError, UsageError
from freehold.types.config import FinetuneConfig
from freehold.types.engine import ENGINE_KINDS
from freehold.types.training import Adapter
from freehold.workflows.weights import trained

PEFT = {"adapter_model.safetensors": "1" * 64}
BOTH = {**PEFT, "adapter.gguf": "2" * 64}


@pytest.fixture
def adapter(tmp_path):
    """The manifest of an adapter in the test's folder: ``adapter(files={…}, r=8)``."""

    def make(files=(), **config):
        return Adapter(
            id="a1", name="shop", path=str(tmp_path), base_model="org/base", base_sha256="b" * 64,
            dataset_id="d", config=FinetuneConfig(**config), template_sha256="t", seed=0, steps=1,
            train_tokens=1, train_seconds=1.0, final_loss=0.1, peak_memory_bytes=None, files=dict(files),
            versions={}, made_from=(),
        )  # fmt: skip

    return make


def test_an_adapter_folder_says_which_weights_it_belongs_to(adapter, tmp_path):
    (tmp_path / "adapter.json").write_bytes(msgspec.json.encode(adapter()))
    found = trained.mount(f"shop={tmp_path}", "org/base")
    assert (found.name, found.adapter_id, found.base_sha256) == ("org/base:shop", "a1", "b" * 64)
    assert trained.mount(f"other:name={tmp_path}", "org/base").name == "other:name"
    (tmp_path / "adapter.json").write_text("{")
    with pytest.raises(InputError, match="not an adapter's manifest"):
        trained.mount(f"shop={tmp_path}", "org/base")


@pytest.mark.parametrize("text", ["shop", "=path", "shop="])
def test_an_adapter_is_name_and_path(text):
    with pytest.raises(UsageError, match="is not NAME=PATH"):
        trained.mount(text, "m")


def test_an_adapter_that_is_not_there():
    with pytest.raises(InputError, match="no such adapter"):
        trained.mount("shop=/nowhere/at/all", "m")


@pytest.mark.parametrize(
    ("text", "owner"),
    [("org/b:shop=x", "org/b"), ("org/a:shop=x", "org/a"), ("shop=x", "org/a"), ("org/c:shop=x", "org/a")],
)
def test_an_adapter_belongs_to_the_model_its_name_begins_with(text, owner):
    assert trained.served_under(text, ["org/a", "org/b"]) == owner


@pytest.mark.parametrize(
    ("engine", "files", "file"),
    [
        ("vllm", BOTH, ""),
        ("vllm", PEFT, ""),
        ("llamacpp", BOTH, "adapter.gguf"),
    ],
    ids=["vLLM", "vLLM without a GGUF", "llama.cpp"],
)
def test_a_trained_adapter_is_attached_in_the_form_its_engine_reads(adapter, tmp_path, engine, files, file):
    mount = trained.trained_adapter(adapter(files), "base:shop", ENGINE_KINDS[engine])
    assert mount.path == str(tmp_path / file)
    assert (mount.name, mount.adapter_id, mount.base_sha256) == ("base:shop", "a1", "b" * 64)


def test_an_adapter_without_a_gguf_is_not_for_llama_cpp(adapter):
    with pytest.raises(EngineError, match="adapter a1 has no GGUF file, which llamacpp needs") as caught:
        trained.trained_adapter(adapter(PEFT), "base:shop", ENGINE_KINDS["llamacpp"])
    assert "freehold migrate --fresh" in caught.value.hint


def test_an_adapter_that_was_taught_calls_brings_its_template(adapter, tmp_path):
    tagged = msgspec.structs.replace(adapter(BOTH), path=str(tmp_path), call_format="tagged")
    (tmp_path / "adapter.json").write_bytes(msgspec.json.encode(tagged))
    with pytest.raises(InputError, match=r"chat_template\.jinja"):
        trained.mount(f"shop={tmp_path}", "org/base")
    (tmp_path / "chat_template.jinja").write_text("with calls")
    assert trained.mount(f"shop={tmp_path}", "org/base").chat_template == "with calls"
    assert trained.trained_adapter(tagged, "m:a", ENGINE_KINDS["llamacpp"]).chat_template == "with calls"
    plain = msgspec.structs.replace(tagged, call_format="template")
    assert trained.trained_adapter(plain, "m:a", ENGINE_KINDS["llamacpp"]).chat_template is None
