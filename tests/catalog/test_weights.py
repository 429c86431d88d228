"""Files of weights: where they are from, how large they are."""

import statistics

import pytest
from click.testing import CliRunner

from freehold.catalog import models, weights
from freehold.cli.main import cli
from freehold.engines.weights.local import parse
from freehold.errors import UnknownModelError
from freehold.hardware.quantization import FIRST_YEAR, file_bytes, known


def test_every_row_has_a_source_that_parses_and_a_hash():
    for row in weights.rows():
        source = parse(row.source)
        assert source is not None and source.file
        assert all(package.version for package in source.packages), "versions are pinned"
        assert len(row.sha256) == 64 and row.bytes > 0
        if row.chat_template:
            assert "add_generation_prompt" in weights.template(row.chat_template)


def test_find_by_id_short_name_and_quantization():
    row = weights.find("smollm2-135m-instruct")
    assert row is not None and row.model == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert weights.find(row.model, "q4_1") == row
    assert weights.find("nobody/nothing") is None
    with pytest.raises(UnknownModelError, match="not known in Q9"):
        weights.find(row.model, "Q9")


def test_gemma_template_writes_turns():
    import jinja2

    text = jinja2.Template(weights.template("gemma")).render(
        bos_token="<bos>",
        add_generation_prompt=True,
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": " Hi "},
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "Bye"},
        ],
    )
    assert text == (
        "<bos><start_of_turn>user\nBe brief.\n\nHi<end_of_turn>\n<start_of_turn>model\nHello<end_of_turn>\n"
        "<start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\n"
    )


KEPT_WIDE = {
    ("bartowski/DeepSeek-Coder-V2-Lite-Instruct-GGUF", name) for name in ("Q6_K_L", "Q5_K_L", "Q4_K_L")
}
"""Cards of a time when _L kept the embeddings at 16 bits."""


def test_every_file_is_of_a_known_model_and_as_large_as_its_shape_says():
    errors = []
    for row in weights.published_rows():
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
    assert not any("Coder" in row.repo for row in weights.published_files(("Qwen/Qwen2.5-7B-Instruct",)))
    assert weights.published_files(("qwen/qwen2.5-coder-7b-instruct",))[0].repo.startswith(
        "bartowski/Qwen2.5-Coder"
    )


def test_a_model_is_shown_with_files_and_how_its_turns_are_written(tmp_path, monkeypatch):
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path))
    shown = CliRunner().invoke(cli, ["catalog", "list", "mistralai/Mistral-7B-Instruct-v0.2"]).stdout
    assert "chat        mistral-v1" in shown
    assert "files       TheBloke/Mistral-7B-Instruct-v0.2-GGUF: " in shown
    assert "Q4_K_M 4.07" in shown
    assert "TheBloke/zephyr-7B-beta-GGUF, of HuggingFaceH4/zephyr-7b-beta" in shown
