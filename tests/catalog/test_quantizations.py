"""Published files of the catalog against what its shapes give."""

import statistics

from click.testing import CliRunner

from freehold.catalog import models, quantizations
from freehold.cli.main import cli
from freehold.hardware.quantization import FIRST_YEAR, file_bytes, known

KEPT_WIDE = {
    ("bartowski/DeepSeek-Coder-V2-Lite-Instruct-GGUF", name) for name in ("Q6_K_L", "Q5_K_L", "Q4_K_L")
}
"""Cards of a time when _L kept the embeddings at 16 bits."""


def test_every_file_is_of_a_known_model_and_as_large_as_its_shape_says():
    errors = []
    for row in quantizations.rows():
        model = models.find(row.model)
        assert model is not None, row.model
        assert known(row.quantization) == row.quantization
        if (row.repo, row.quantization) in KEPT_WIDE:
            continue
        year = FIRST_YEAR if row.repo.startswith("TheBloke/") else ""
        error = abs(file_bytes(model.shape, row.quantization + year) / row.bytes - 1)
        assert error <= 0.015, (row.repo, row.quantization, error)
        errors.append(error)
    assert len(errors) > 450
    assert statistics.median(errors) <= 0.007


def test_files_of_a_fine_tune_are_not_taken_for_its_bases():
    assert not any("Coder" in row.repo for row in quantizations.of(("Qwen/Qwen2.5-7B-Instruct",)))
    assert quantizations.of(("qwen/qwen2.5-coder-7b-instruct",))[0].repo.startswith("bartowski/Qwen2.5-Coder")


def test_a_model_is_shown_with_files_scores_and_how_its_turns_are_written(tmp_path, monkeypatch):
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path))
    shown = CliRunner().invoke(cli, ["catalog", "show", "mistralai/Mistral-7B-Instruct-v0.2"]).stdout
    assert "chat         mistral-v1" in shown
    assert "files        TheBloke/Mistral-7B-Instruct-v0.2-GGUF\n" in shown
    assert "Q4_K_M 4.07" in shown
    assert "TheBloke/zephyr-7B-beta-GGUF, of HuggingFaceH4/zephyr-7b-beta" in shown
    assert "LoRA, tuned on the task" in shown
