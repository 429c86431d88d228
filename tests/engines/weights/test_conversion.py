import msgspec
import pytest

from freehold.engines.weights.conversion import NAME, ConversionRecord, read_conversion, source_of


def test_converted_weights_know_what_they_were(tmp_path):
    record = ConversionRecord(source_sha256="a" * 64, source_path="/m.gguf", quantization="Q8_0", version="1")
    (tmp_path / NAME).write_bytes(msgspec.json.encode(record))
    assert read_conversion(tmp_path) == record
    assert source_of(str(tmp_path)) == "a" * 64


@pytest.mark.parametrize("text", [None, "{", '{"source_sha256": 1}'])
def test_other_weights_have_no_source(tmp_path, text):
    if text is not None:
        (tmp_path / NAME).write_text(text)
    assert read_conversion(tmp_path) is None
    assert source_of(str(tmp_path)) is None
    assert source_of(None) is None
