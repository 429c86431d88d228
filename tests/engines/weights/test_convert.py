"""A GGUF's numbers as safetensors, and the record of it."""

import subprocess

import msgspec
import pytest

from freehold.engines.weights import convert as conversions
from freehold.engines.weights.convert import (
    RECORD_NAME,
    Conversion,
    ConversionRecord,
    convert,
    read_conversion,
    source_of,
)
from freehold.errors import StorageError, WeightsError

JOB = Conversion(source="/m.gguf", target="/out")


@pytest.mark.parametrize(
    ("code", "said", "error", "message"),
    [
        (1, b"Traceback\nOSError: [Errno 28] No space left on device\n", StorageError, "the disk filled up"),
        (
            1,
            b"Traceback\nValueError: GGUF model with architecture odd is not supported\n",
            WeightsError,
            "odd is not",
        ),
        (-9, b"", WeightsError, "most likely for memory"),
        (3, b"", WeightsError, "exit code 3"),
    ],
)
def test_a_failure_is_told_in_one_line(monkeypatch, code, said, error, message):
    monkeypatch.setattr(
        conversions.subprocess, "run", lambda *a, **k: subprocess.CompletedProcess(a, code, b"", said)
    )
    with pytest.raises(error, match=message) as caught:
        convert(JOB)
    assert "\n" not in caught.value.message and "/m.gguf" in caught.value.message


def test_converted_weights_know_what_they_were(tmp_path):
    record = ConversionRecord(source_sha256="a" * 64, source_path="/m.gguf", quantization="Q8_0", version="1")
    (tmp_path / RECORD_NAME).write_bytes(msgspec.json.encode(record))
    assert read_conversion(tmp_path) == record
    assert source_of(str(tmp_path)) == "a" * 64


@pytest.mark.parametrize("text", [None, "{", '{"source_sha256": 1}'])
def test_other_weights_have_no_source(tmp_path, text):
    if text is not None:
        (tmp_path / RECORD_NAME).write_text(text)
    assert read_conversion(tmp_path) is None
    assert source_of(str(tmp_path)) is None
    assert source_of(None) is None
