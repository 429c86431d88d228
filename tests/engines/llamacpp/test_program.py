"""The library and the program are started with the same settings."""

import itertools

import pytest

from freehold.engines.llamacpp.options import KV_TYPES, LlamaOptions
from freehold.engines.llamacpp.program import arguments, program
from freehold.types.endpoint import AdapterMount, ServePlan


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
