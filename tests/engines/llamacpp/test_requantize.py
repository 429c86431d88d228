import pytest
from msgspec.structs import replace
from tests.engines.conftest import Told

from freehold.engines.weights.store import WeightsStore, sha256_of
from freehold.progress import Silent
from freehold.types.model import Weights
from freehold.workflows.weights import made as requantize

pytestmark = pytest.mark.process

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


def test_the_program_is_told_everything_and_tells_how_far_it_is(tmp_path):
    told = Told()
    made = program(tmp_path, 'echo "[ 1/ 2] a"; echo "[ 2/ 2] b"; echo "$@" > "$3"')
    target = tmp_path / "out.gguf"
    requantize.run_quantize(made, tmp_path / "in.gguf", target, "Q4_0", threads=3, progress=told)
    assert target.read_text().split() == [
        "--allow-requantize", str(tmp_path / "in.gguf"), str(target), "Q4_0", "3",
    ]  # fmt: skip
    assert told.updates == [(1, 2), (2, 2)]


def test_missing_quantizations_are_written_by_the_build(tmp_path):
    made_by = program(
        tmp_path,
        'printf half > "$3"\n'
        'echo "[   1/   2] tensor"; echo "[   2/   2] tensor"\n'
        '[ "$4" != Q2_K ] || { echo "cannot do it"; exit 1; }\n'
        'printf "GGUF$4 anew" > "$3"',
    )
    store = WeightsStore(tmp_path / "home")
    for name, origin in (("Q4_1", "file:x"), ("Q8_0", "made:Q8_0 from x")):
        path = store.folder(MODEL) / f"{name}.gguf"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"GGUF" + name.encode())
        known = replace(weights(name, 8, origin), model_id=MODEL, sha256=sha256_of(path), path=str(path))
        store.record(known, owned=True)
    source = requantize.best_source([one.weights for one in store.list()])
    assert source.quantization == "Q4_1", "what was made here is no source"
    made = requantize.requantize(made_by, source, "Q5_K_M", store, told := Told())
    assert told.updates == [(1, 2), (2, 2)]
    assert made.source == f"made:Q5_K_M from {source.sha256}"
    assert store.find(MODEL, "Q5_K_M").weights == made
    assert store.find(MODEL).weights.quantization == "Q4_1", "what was pulled is meant by the bare name"
    assert requantize.requantize(made_by, source, "Q5_K_M", store, Silent()) == made
    with pytest.raises(Exception, match="cannot do it"):
        requantize.requantize(made_by, source, "Q2_K", store, Silent())

    class Interrupted(Silent):
        def update(self, done, total, *, unit="", note=""):
            assert list((store.root / ".partial").iterdir())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        requantize.requantize(made_by, source, "Q8_0", store, Interrupted())
    assert not list((store.root / ".partial").iterdir())
