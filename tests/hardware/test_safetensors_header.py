import json
import struct

import pytest

from freehold.errors import InputError
from freehold.hardware.safetensors_header import safetensors_bytes


def test_safetensors_by_index_or_header(tmp_path):
    header = b'{"__metadata__":{}}'
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 100)
    assert safetensors_bytes(tmp_path) == 100
    (tmp_path / "model.safetensors.index.json").write_text('{"metadata": {"total_size": 400000000000}}')
    assert safetensors_bytes(tmp_path) == 400_000_000_000
    (tmp_path / "model.safetensors.index.json").unlink()
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", 2**60) + b"{}")
    with pytest.raises(InputError, match="safetensors"):
        safetensors_bytes(tmp_path)


@pytest.mark.parametrize("metadata", [None, [], {"total_size": "big"}])
def test_an_index_without_a_size_falls_back_to_the_files(tmp_path, metadata):
    (tmp_path / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": metadata, "weight_map": {}})
    )
    with pytest.raises(InputError, match="no safetensors"):
        safetensors_bytes(tmp_path)
