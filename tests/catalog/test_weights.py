import pytest

from freehold.catalog import weights
from freehold.engines.weights.source import parse
from freehold.errors import UnknownModelError


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
