"""What llama.cpp's engine refuses before it starts, and that library and program are started with the same settings."""

import itertools
import struct

import msgspec
import pytest

from freehold import engines
from freehold.engines.llamacpp.options import KV_TYPES, LlamaOptions, check
from freehold.engines.llamacpp.program import arguments, program
from freehold.errors import EngineError, FreeholdError, InputError, UsageError, WeightsError
from freehold.types.endpoint import AdapterMount, ServePlan

pytest.importorskip("xllamacpp")


def gguf(path, **metadata):
    """A GGUF file of metadata alone; names are written with two underscores for a dot."""

    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()

    body = b""
    for key, value in metadata.items():
        body += text(key.replace("__", "."))
        body += struct.pack("<I", 8) + text(value) if isinstance(value, str) else struct.pack("<II", 4, value)
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, len(metadata)) + body)
    return str(path)


def with_adapter(plan, path, **fields):
    return msgspec.structs.replace(plan, adapters=(AdapterMount(name="base:x", path=str(path), **fields),))


@pytest.fixture
def plan(tmp_path):
    weights = gguf(
        tmp_path / "base.gguf",
        general__architecture="llama",
        llama__context_length=2048,
        tokenizer__chat_template="{{ messages }}",
    )
    return ServePlan(
        engine="llamacpp", model="base", weights_path=weights, weights_sha256="a" * 64, context_tokens=2048
    )


def test_a_sound_plan_passes(plan, tmp_path):
    engines.check(plan)
    adapter = gguf(tmp_path / "adapter.gguf", general__architecture="llama", general__type="adapter")
    engines.check(with_adapter(plan, adapter, base_sha256="a" * 64))


def test_context_beyond_the_model(plan):
    with pytest.raises(EngineError, match="context of 2048 tokens, 4096 were asked for"):
        engines.check(msgspec.structs.replace(plan, context_tokens=4096))


def test_a_missing_template_needs_one_given(plan, tmp_path):
    bare = gguf(tmp_path / "bare.gguf", general__architecture="llama")
    bare_plan = msgspec.structs.replace(plan, weights_path=bare)
    with pytest.raises(EngineError, match="no chat template"):
        engines.check(bare_plan)
    engines.check(msgspec.structs.replace(bare_plan, options={"chat_template": "{{ messages }}"}))


def test_weights_that_are_not_there_or_not_gguf(plan, tmp_path):
    with pytest.raises(EngineError, match="no weights are named"):
        engines.check(msgspec.structs.replace(plan, weights_path=None))
    with pytest.raises(InputError, match="no such file"):
        engines.check(msgspec.structs.replace(plan, weights_path=str(tmp_path / "gone.gguf")))
    (tmp_path / "odd.gguf").write_bytes(b"something else entirely")
    with pytest.raises(WeightsError, match="neither GGUF nor safetensors"):
        engines.check(msgspec.structs.replace(plan, weights_path=str(tmp_path / "odd.gguf")))


def test_adapters_that_llama_cpp_cannot_take(plan, tmp_path):
    adapter = gguf(tmp_path / "adapter.gguf", general__architecture="llama", general__type="adapter")
    with pytest.raises(EngineError, match=f"{'b' * 64}.*{'a' * 64}"):
        engines.check(with_adapter(plan, adapter, base_sha256="b" * 64))
    other = gguf(tmp_path / "other.gguf", general__architecture="gemma3", general__type="adapter")
    with pytest.raises(EngineError, match="for gemma3 models, the base is llama"):
        engines.check(with_adapter(plan, other))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="has no GGUF file"):
        engines.check(with_adapter(plan, tmp_path / "empty"))
    with pytest.raises(EngineError, match="a model, not an adapter"):
        engines.check(with_adapter(plan, plan.weights_path))


def test_an_unknown_kv_type(plan):
    with pytest.raises(UsageError, match="'q9' is unknown"):
        engines.check(msgspec.structs.replace(plan, kv_type="q9"))


def test_values_are_not_quantized_without_flash_attention(plan):
    off = msgspec.structs.replace(plan, kv_type="q8_0", options={"flash_attention": "off"})
    with pytest.raises(UsageError, match="with flash attention only"):
        engines.check(off)
    engines.check(msgspec.structs.replace(off, kv_type="f16"))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"speculative": "draft"}, "no draft_model"),
        ({"speculative": "draft", "draft_model": "/nowhere.gguf"}, "no draft model at /nowhere.gguf"),
        ({"micro_batch": 0}, "micro_batch is 0"),
    ],
)
def test_options_that_cannot_hold_are_refused(fields, says):
    with pytest.raises(FreeholdError, match=says):
        check(LlamaOptions(**fields))


def test_both_ways_to_run_set_the_same():
    plan = ServePlan(
        engine="llamacpp",
        model="m",
        weights_path="w.gguf",
        adapters=(AdapterMount(name="m:a", path="a.gguf"),),
        context_tokens=1000,
        parallel=3,
        threads=2,
        port=4000,
    )
    found = arguments(plan, LlamaOptions())
    pairs = dict(itertools.pairwise(found))
    assert pairs["--ctx-size"] == "3000" and pairs["--parallel"] == "3" and pairs["--port"] == "4000"
    assert (pairs["--cache-type-k"], pairs["--cache-type-v"]) == ("f16", "f16")
    assert pairs["--cors-origins"] == "", "no page of another origin may ask"
    assert pairs["--lora-scaled"] == "a.gguf:0.0"
    assert {"--no-context-shift", "--no-ui", "--no-slots", "--lora-init-without-apply"} <= set(found)
    assert program(plan, LlamaOptions(), "/x/llama-server").arguments[3:5] == ("/x/llama-server", "--model")
    assert "freehold.engines.llamacpp.child" in program(plan, LlamaOptions(), None).arguments


def test_both_ways_guess_ahead_the_same():
    from freehold.engines.llamacpp.child import parameters

    plan = ServePlan(engine="llamacpp", model="m", weights_path="w.gguf", threads=2, kv_type="q8_0")
    options = LlamaOptions(speculative="ngram-simple", prefix_cache=False, micro_batch=128)
    library = parameters(plan, options)
    pairs = dict(itertools.pairwise(arguments(plan, options)))
    assert pairs["--spec-type"] == "ngram-simple" and "--no-cache-prompt" in pairs
    assert (pairs["--threads"], pairs["--threads-batch"], pairs["--ubatch-size"]) == ("2", "2", "128")
    assert "NGRAM_SIMPLE" in library.speculative.types[0].name
    ngram = library.speculative.ngram_simple
    assert (ngram.size_n, ngram.size_m) == (2, 8)
    assert pairs["--spec-ngram-simple-size-n"] == "2" and pairs["--spec-ngram-simple-size-m"] == "8"
    assert (library.cpuparams.n_threads, library.cpuparams_batch.n_threads, library.n_ubatch) == (2, 2, 128)
    assert library.cache_type_k == library.cache_type_v == KV_TYPES["q8_0"]
    assert library.cache_prompt is False

    options = LlamaOptions(speculative="draft", draft_model="small.gguf")
    pairs = dict(itertools.pairwise(arguments(plan, options)))
    assert (pairs["--spec-type"], pairs["--model-draft"]) == ("draft-simple", "small.gguf")
    draft = parameters(plan, options).speculative.draft
    assert (draft.mparams.path, draft.n_max) == ("small.gguf", 8)
