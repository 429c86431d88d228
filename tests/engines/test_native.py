"""Building llama.cpp for this CPU: the steps, with a compiler that only pretends."""

import io
import itertools
import os
import stat
import tarfile
from pathlib import Path

import msgspec
import pytest

from freehold.engines.llamacpp import native
from freehold.engines.llamacpp.native import StreamSpeed
from freehold.engines.llamacpp.options import KV_TYPES, LlamaOptions, check
from freehold.engines.llamacpp.program import arguments, program
from freehold.errors import EngineError, FreeholdError, HashMismatchError
from freehold.types.endpoint import AdapterMount, ServePlan
from freehold.types.progress import Silent
from freehold.workflows.serve.engines import faster

CMAKE = """#!/bin/sh
# Pretends to be cmake: "-S … -B build" configures, "--build build" compiles.
case "$1" in
  -S) mkdir -p "$4"; echo configured; [ -z "$FAIL_CONFIGURE" ] || { echo "CMake Error: no luck"; exit 1; } ;;
  --build)
    echo "[1/2] Building"
    [ -z "$FAIL_BUILD" ] || { echo "server.cpp:1: error: no luck either"; exit 2; }
    mkdir -p "$2/bin"
    for program in llama-server llama-quantize; do
      printf '#!/bin/sh\\n' > "$2/bin/$program"; chmod +x "$2/bin/$program"
    done
    echo "[2/2] Linking" ;;
esac
"""


def executable(path, text):
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """A path with a pretended cmake, compiler and ninja, and a source archive in place."""
    folder = tmp_path / "bin"
    folder.mkdir()
    executable(folder / "cmake", CMAKE)
    executable(folder / "c++", "#!/bin/sh\necho pretended compiler 1.0\n")
    executable(folder / "ninja", "#!/bin/sh\n")
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    place = native.folder(tmp_path)
    place.mkdir(parents=True)
    archive = place / f"llama_cpp_python-{native.VERSION}.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        prefix = archive.name.removesuffix(".tar.gz")
        for name in ("vendor/llama.cpp/CMakeLists.txt", "pyproject.toml"):
            data = b"text"
            info = tarfile.TarInfo(f"{prefix}/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    monkeypatch.setattr(native, "SHA256", native.sha256_of(archive))
    return folder


class Told(Silent):
    def __init__(self):
        self.steps, self.updates = [], []

    def step(self, name, *, note=""):
        self.steps.append(name)

    def update(self, done, total, *, unit="", note=""):
        self.updates.append((done, total))


def test_a_build_leaves_a_program_and_its_record(tools, tmp_path):
    told = Told()
    built = native.build(tmp_path, told)
    assert Path(built.binary).is_file() and os.access(built.binary, os.X_OK)
    assert built.compiler == "pretended compiler 1.0"
    assert native.read(tmp_path) == built
    assert native.binary(tmp_path) is None, "it is used only after it measured faster"
    native.record(tmp_path, msgspec.structs.replace(built, chosen=True))
    assert native.binary(tmp_path) == Path(built.binary)
    assert native.quantize(tmp_path) == native.folder(tmp_path) / "llama-quantize"
    assert told.updates == [(1, 2), (2, 2)]
    place = native.folder(tmp_path)
    assert (place / "source" / "CMakeLists.txt").exists()
    assert not (place / "source" / "pyproject.toml").exists(), "only llama.cpp is unpacked"
    assert not list(place.glob("*.tar.gz"))


def test_a_second_run_does_not_unpack_again(tools, tmp_path, monkeypatch):
    monkeypatch.setenv("FAIL_BUILD", "1")
    with pytest.raises(EngineError, match="no luck either") as caught:
        native.build(tmp_path, Told())
    assert "build.log" in caught.value.hint
    assert native.read(tmp_path) is None
    monkeypatch.delenv("FAIL_BUILD")
    told = Told()
    native.build(tmp_path, told)
    assert told.steps == ["configure llama.cpp", "compile llama.cpp"]


def test_what_fails_is_said_in_one_line(tools, tmp_path, monkeypatch):
    monkeypatch.setenv("FAIL_CONFIGURE", "1")
    with pytest.raises(EngineError, match="CMake Error: no luck"):
        native.build(tmp_path, Told())


def test_an_altered_source_is_not_built(tools, tmp_path, monkeypatch):
    monkeypatch.setattr(native, "SHA256", "0" * 64)
    with pytest.raises(HashMismatchError):
        native.build(tmp_path, Told())
    assert not list(native.folder(tmp_path).glob("*.tar.gz"))


@pytest.mark.parametrize("tool", ["cmake", "c++"])
def test_a_missing_tool_is_named_with_the_way_out(tools, tmp_path, monkeypatch, tool):
    (tools / tool).unlink()
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(EngineError, match=r"which is not on the path|none is on the path") as caught:
        native.build(tmp_path, Told())
    assert "install" in caught.value.hint


def test_a_build_for_another_cpu_is_not_used(tools, tmp_path):
    built = native.build(tmp_path, Told())
    native.record(tmp_path, msgspec.structs.replace(built, cpu="another", chosen=True))
    assert native.binary(tmp_path) is None
    native.record(tmp_path, msgspec.structs.replace(built, chosen=False))
    assert native.read(tmp_path) is not None and native.binary(tmp_path) is None


def test_building_is_only_advised_where_it_helps(monkeypatch):
    monkeypatch.setattr(native, "_has_cuda", lambda: False)
    monkeypatch.setattr(native, "cpu_flags", lambda: ())
    assert not native.can_help().helps
    monkeypatch.setattr(native, "cpu_flags", lambda: ("avx512f",))
    assert native.can_help().helps and "avx512f" in native.can_help().reason


def test_the_faster_one_is_chosen_by_both_speeds():
    slow = StreamSpeed(prompt_tokens_per_second=280, completion_tokens_per_second=90)
    assert faster(StreamSpeed(prompt_tokens_per_second=1300, completion_tokens_per_second=217), slow)
    assert not faster(StreamSpeed(prompt_tokens_per_second=300, completion_tokens_per_second=60), slow)


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


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"speculative": "draft"}, "no draft_model"),
        ({"speculative": "draft", "draft_model": "/nowhere.gguf"}, "no draft model at /nowhere.gguf"),
        ({"match_tokens": 0}, "match_tokens is 0"),
        ({"spin": 101}, "spin is 101"),
        ({"key_type": "q9"}, "key_type 'q9' is unknown"),
    ],
)
def test_options_that_cannot_hold_are_refused(fields, says):
    with pytest.raises(FreeholdError, match=says):
        check(LlamaOptions(**fields))
