"""What llama.cpp's engine refuses before it starts, and the settings that both ways to run it get."""

import itertools

import msgspec
import pytest
from tests.engines.llamacpp.headers import gguf, with_adapter

from freehold import engines
from freehold.engines.llamacpp.options import KV_TYPES, LlamaOptions, check
from freehold.engines.llamacpp.program import arguments, program
from freehold.errors import EngineError, FreeholdError, InputError, UsageError, WeightsError
from freehold.types.endpoint import AdapterMount, ServePlan

pytest.importorskip("xllamacpp")


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


def test_an_adapter_for_other_weights_names_both_hashes(plan, tmp_path):
    adapter = gguf(tmp_path / "adapter.gguf", general__architecture="llama", general__type="adapter")
    with pytest.raises(EngineError, match=f"{'b' * 64}.*{'a' * 64}"):
        engines.check(with_adapter(plan, adapter, base_sha256="b" * 64))


def test_an_adapter_for_another_architecture(plan, tmp_path):
    adapter = gguf(tmp_path / "adapter.gguf", general__architecture="gemma3", general__type="adapter")
    with pytest.raises(EngineError, match="for gemma3 models, the base is llama"):
        engines.check(with_adapter(plan, adapter))


def test_an_adapter_folder_needs_one_gguf(plan, tmp_path):
    folder = tmp_path / "adapter"
    folder.mkdir()
    with pytest.raises(InputError, match="has no GGUF file"):
        engines.check(with_adapter(plan, folder))


def test_a_model_is_no_adapter(plan):
    with pytest.raises(EngineError, match="a model, not an adapter"):
        engines.check(with_adapter(plan, plan.weights_path))


def test_an_unknown_kv_type(plan):
    with pytest.raises(UsageError, match="'q9' is unknown"):
        engines.check(msgspec.structs.replace(plan, kv_type="q9"))


def test_values_are_not_quantized_without_flash_attention(plan):
    off = msgspec.structs.replace(plan, kv_type="q8_0", options={"flash_attention": "off"})
    with pytest.raises(UsageError, match="with flash attention only"):
        engines.check(off)
    engines.check(msgspec.structs.replace(off, kv_type="f16", options={**off.options, "key_type": "q8_0"}))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"speculative": "draft", "draft_model": "/nowhere.gguf"}, "no draft model at /nowhere.gguf"),
        ({"match_tokens": 0}, "match_tokens is 0"),
        ({"spin": 101}, "spin is 101"),
        ({"key_type": "q9"}, "key_type 'q9' is unknown"),
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
    found = arguments(plan, LlamaOptions(key_type="q8_0"))
    pairs = dict(itertools.pairwise(found))
    assert pairs["--ctx-size"] == "3000" and pairs["--parallel"] == "3" and pairs["--port"] == "4000"
    assert (pairs["--cache-type-k"], pairs["--cache-type-v"]) == ("q8_0", "f16")
    assert pairs["--cors-origins"] == "", "no page of another origin may ask"
    assert pairs["--lora-scaled"] == "a.gguf:0.0"
    assert {"--no-context-shift", "--no-ui", "--no-slots", "--lora-init-without-apply"} <= set(found)
    assert program(plan, LlamaOptions(), "/x/llama-server").arguments[3:5] == ("/x/llama-server", "--model")
    assert "freehold.engines.llamacpp.child" in program(plan, LlamaOptions(), None).arguments


@pytest.mark.parametrize("kind", ["ngram-simple", "ngram-map-k", "ngram-map-k4v", "ngram-mod"])
def test_both_ways_guess_ahead_the_same(kind):
    pytest.importorskip("xllamacpp")
    from freehold.engines.llamacpp.child import parameters

    plan = ServePlan(engine="llamacpp", model="m", weights_path="w.gguf", threads=2)
    options = LlamaOptions(
        speculative=kind,
        match_tokens=4,
        draft_tokens=9,
        threads_batch=1,
        prefix_cache=False,
        cache_reuse=32,
        key_type="q8_0",
    )
    library = parameters(plan, options)
    pairs = dict(itertools.pairwise(arguments(plan, options)))
    assert pairs["--spec-type"] == kind and "--no-cache-prompt" in pairs
    assert (pairs["--threads"], pairs["--threads-batch"], pairs["--cache-reuse"]) == ("2", "1", "32")
    assert kind.replace("-", "_").upper() in library.speculative.types[0].name
    ngram = getattr(library.speculative, kind.replace("-", "_"))
    if kind == "ngram-mod":
        assert (ngram.n_match, ngram.n_min, ngram.n_max) == (4, 1, 9)
        assert pairs["--spec-ngram-mod-n-match"] == "4" and pairs["--spec-ngram-mod-n-max"] == "9"
    else:
        assert (ngram.size_n, ngram.size_m) == (4, 9)
        assert pairs[f"--spec-{kind}-size-n"] == "4" and pairs[f"--spec-{kind}-size-m"] == "9"
    assert (library.cpuparams.n_threads, library.cpuparams_batch.n_threads) == (2, 1)
    assert (library.cache_type_k, library.cache_type_v) == (KV_TYPES["q8_0"], KV_TYPES["f16"])
    assert library.cache_prompt is False and library.n_cache_reuse == 32


def test_a_draft_model_is_named_both_ways(tmp_path):
    pytest.importorskip("xllamacpp")
    from freehold.engines.llamacpp.child import parameters

    plan = ServePlan(engine="llamacpp", model="m", weights_path="w.gguf", threads=2)
    options = LlamaOptions(speculative="draft", draft_model="small.gguf", draft_tokens=5)
    pairs = dict(itertools.pairwise(arguments(plan, options)))
    assert (pairs["--spec-type"], pairs["--model-draft"]) == ("draft-simple", "small.gguf")
    draft = parameters(plan, options).speculative.draft
    assert (draft.mparams.path, draft.n_max) == ("small.gguf", 5)
