"""Building llama.cpp for this CPU with a compiler that only pretends, its speed, and quantizations written with it."""

import contextlib
import io
import os
import stat
import tarfile
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from tests.engines.conftest import serving

from freehold.engines.llamacpp import measure, native, requantize
from freehold.engines.weights.check import sha256_of
from freehold.engines.weights.store import WeightsStore
from freehold.errors import EngineError, HashMismatchError
from freehold.types.endpoint import Endpoint, ServedModel, ServePlan
from freehold.types.model import Weights
from freehold.types.progress import Silent

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


@pytest.mark.process
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


@pytest.mark.process
def test_a_second_run_does_not_unpack_again(tools, tmp_path, monkeypatch):
    with monkeypatch.context() as failing, pytest.raises(EngineError, match="CMake Error: no luck"):
        failing.setenv("FAIL_CONFIGURE", "1")
        native.build(tmp_path, Told())
    monkeypatch.setenv("FAIL_BUILD", "1")
    with pytest.raises(EngineError, match="no luck either") as caught:
        native.build(tmp_path, Told())
    assert "build.log" in caught.value.hint
    assert native.read(tmp_path) is None
    monkeypatch.delenv("FAIL_BUILD")
    told = Told()
    native.build(tmp_path, told)
    assert told.steps == ["configure llama.cpp", "compile llama.cpp"]


@pytest.mark.process
def test_an_altered_source_is_not_built(tools, tmp_path, monkeypatch):
    monkeypatch.setattr(native, "SHA256", "0" * 64)
    with pytest.raises(HashMismatchError):
        native.build(tmp_path, Told())
    assert not list(native.folder(tmp_path).glob("*.tar.gz"))


@pytest.mark.process
@pytest.mark.parametrize("tool", ["cmake", "c++"])
def test_a_missing_tool_is_named_with_the_way_out(tools, tmp_path, monkeypatch, tool):
    (tools / tool).unlink()
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(EngineError, match=r"which is not on the path|none is on the path") as caught:
        native.build(tmp_path, Told())
    assert "install" in caught.value.hint


@pytest.mark.process
def test_a_build_for_another_cpu_is_not_used(tools, tmp_path):
    built = native.build(tmp_path, Told())
    native.record(tmp_path, msgspec.structs.replace(built, cpu="another", chosen=True))
    assert native.binary(tmp_path) is None
    native.record(tmp_path, msgspec.structs.replace(built, chosen=False))
    assert native.read(tmp_path) is not None and native.binary(tmp_path) is None


@pytest.mark.process
def test_building_is_only_advised_where_it_helps(monkeypatch):
    monkeypatch.setattr(native, "_has_cuda", lambda: False)
    monkeypatch.setattr(native, "cpu_flags", lambda: ())
    assert not native.can_help().helps
    monkeypatch.setattr(native, "cpu_flags", lambda: ("avx512f",))
    assert native.can_help().helps and "avx512f" in native.can_help().reason


MODEL = "org/tiny"


def weights(quantization, bytes=100, source="hf:x", format="gguf"):
    return Weights(
        model_id="m",
        format=format,
        quantization=quantization,
        bytes=bytes,
        sha256=quantization,
        source=source,
    )


@pytest.mark.process
@pytest.mark.parametrize(
    ("found", "best"),
    [
        ([weights("Q4_K_M"), weights("Q8_0"), weights("BF16")], "BF16"),
        ([weights("Q4_K_M", 100), weights("Q6_K", 150)], "Q6_K"),
        ([weights("F16", source="made:F16 from x"), weights("Q4_0")], "Q4_0"),
        ([weights("BF16", format="safetensors")], None),
        ([], None),
    ],
)
def test_the_least_rounded_that_was_not_made_here_is_the_source(found, best):
    source = requantize.best_source(found)
    assert (source and source.quantization) == best


def program(tmp_path, script):
    path = tmp_path / "llama-quantize"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.process
@pytest.mark.parametrize("script", ['echo half > "$3"; echo "bad type"; exit 4', 'echo "bad type"'])
def test_a_failure_leaves_no_file_and_says_why(tmp_path, script):
    target = tmp_path / "out.gguf"
    with pytest.raises(EngineError, match=r"could not write Q9, it ended with .: bad type"):
        requantize.run(program(tmp_path, script), tmp_path / "in.gguf", target, "Q9")
    assert not target.exists()


@pytest.mark.process
def test_missing_quantizations_are_written_by_the_build(tmp_path):
    program = tmp_path / "llama-quantize"
    program.write_text(
        "#!/bin/sh\n"
        'printf half > "$3"\n'
        'echo "[   1/   2] tensor"; echo "[   2/   2] tensor"\n'
        '[ "$4" != Q2_K ] || { echo "cannot do it"; exit 1; }\n'
        'printf "GGUF$4 anew" > "$3"\n'
    )
    program.chmod(0o755)
    told = []

    class Told(Silent):
        def update(self, done, total, *, unit="", note=""):
            told.append((done, total, unit))

    store = WeightsStore(tmp_path / "home")
    for name, origin in (("Q4_1", "file:x"), ("Q8_0", "made:Q8_0 from x")):
        path = store.folder(MODEL) / f"{name}.gguf"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"GGUF" + name.encode())
        weights = Weights(
            model_id=MODEL, format="gguf", quantization=name, bytes=8, sha256=sha256_of(path), source=origin,
            path=str(path),
        )  # fmt: skip
        store.record(weights, owned=True)
    source = requantize.best_source([one.weights for one in store.list()])
    assert source.quantization == "Q4_1", "what was made here is no source"
    made = requantize.requantize(program, source, "Q5_K_M", store, Told())
    assert told == [(1.0, 2.0, "tensors"), (2.0, 2.0, "tensors")]
    assert made.source == f"made:Q5_K_M from {source.sha256}"
    assert store.find(MODEL, "Q5_K_M").weights == made
    assert store.find(MODEL).weights.quantization == "Q4_1", "what was pulled is meant by the bare name"
    assert requantize.requantize(program, source, "Q5_K_M", store, Silent()) == made
    with pytest.raises(Exception, match="cannot do it"):
        requantize.requantize(program, source, "Q2_K", store, Silent())

    class Interrupted(Silent):
        def update(self, done, total, *, unit="", note=""):
            assert list((store.root / ".partial").iterdir())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        requantize.requantize(program, source, "Q8_0", store, Interrupted())
    assert not list((store.root / ".partial").iterdir())


PLAN = ServePlan(engine="llamacpp", model="tiny", parallel=4, port=1234)


@pytest.fixture
async def engines(monkeypatch, anyio_backend):
    """Engines that only answer; ``(asked, started, timings)``. Timings are by model, one taken each request."""
    asked, started, timings = [], [], {}

    async def answer(request):
        body = await request.json()
        asked.append(body)
        return web.json_response({"timings": timings[body["model"]].pop(0)} if timings else {"no": "timings"})

    async with serving(answer) as url:

        @contextlib.asynccontextmanager
        async def start(plan, **_):
            started.append(plan)
            models = (ServedModel(name=plan.model, upstream_name=plan.model),)
            yield Endpoint(
                name=plan.model, engine="llamacpp", base_url=url, models=models, context_tokens=512
            )

        monkeypatch.setattr(measure, "start", start)
        yield asked, started, timings


def took(prompt, completion):
    return {"prompt_per_second": prompt, "predicted_per_second": completion}


@pytest.mark.anyio
async def test_the_median_of_the_rounds_after_the_first_is_taken(engines, tmp_path):
    asked, started, timings = engines
    timings["tiny"] = [took(1, 1), took(10, 5), took(30, 7), took(20, 6)]
    speed = await measure.measure(PLAN, log_dir=tmp_path, rounds=3)
    assert (speed.prompt_tokens_per_second, speed.completion_tokens_per_second) == (20, 6)
    assert not any(body["cache_prompt"] for body in asked)
    assert [(plan.parallel, plan.port) for plan in started] == [(1, 0)]


@pytest.mark.anyio
async def test_an_engine_without_timings_is_an_error(engines, tmp_path):
    with pytest.raises(EngineError, match=r"did not tell how long it took: .*timings"):
        await measure.measure(PLAN, log_dir=tmp_path, rounds=1)
