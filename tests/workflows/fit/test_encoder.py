"""Encoders among the models whose fit is asked: by the catalog's shape before there are files, by the files after."""

import pytest
from tests.engines.encoder.tiny import tiny_encoder

from freehold.catalog import models as catalog
from freehold.settings import load
from freehold.types.machine import Machine, Workload
from freehold.workflows.fit.encoder import fit_of_base
from freehold.workflows.fit.fit import fit_model

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
MACHINE = Machine(name="m", cores=2, memory_bytes=1 << 34, available_memory_bytes=1 << 33, cpu="x")
SHORT = Workload(context_tokens=128)


def mib(fit):
    return fit.total_bytes / 2**20


def test_a_base_is_counted_as_it_is_served_without_a_cache():
    """217 MiB were resident with its 22.7 million weights after 32 messages at once."""
    fit = fit_model(MINILM, workload=SHORT, machine=MACHINE, settings=load())
    assert {part.name for part in fit.parts} == {"weights", "tokenizer", "compute", "process"}
    assert fit.fits and fit.engine == "encoder" and fit.quantization == "F32"
    assert 217 <= mib(fit) <= 1.25 * 217
    assert fit.largest_context_tokens is None and fit.speed is None


def test_a_context_that_it_does_not_read_is_no_reason_against_it():
    long = fit_model(MINILM, workload=Workload(), machine=MACHINE, settings=load())
    most = fit_of_base(catalog.get(MINILM), Workload(context_tokens=512), machine=MACHINE)
    assert long.fits and long.total_bytes == most.total_bytes, "it reads 512 tokens of a message"
    assert any("512" in part.basis for part in long.parts)


@pytest.mark.parametrize("prefix", ["", "file:"])
def test_a_trained_one_is_counted_by_its_files(tmp_path, prefix):
    folder = tiny_encoder(tmp_path / "given")
    fit = fit_model(f"{prefix}{folder}", workload=SHORT, machine=MACHINE, settings=load())
    sizes = {part.name: part.bytes for part in fit.parts}
    assert sizes["weights"] == sum(
        (folder / name).stat().st_size for name in ("model.onnx", "heads.safetensors")
    )
    assert fit.model == "given" and fit.fits
