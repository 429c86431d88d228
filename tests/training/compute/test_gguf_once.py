"""A GGUF file is parsed once inside the block, and the library is as before afterwards."""

import gguf
import pytest

from freehold.training.compute.gguf_once import parsed_once


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_the_same_file_is_read_once(file):
    original = gguf.GGUFReader
    with parsed_once():
        first, again = gguf.GGUFReader(str(file)), gguf.GGUFReader(file)
        assert first is again
        assert first.get_field("general.architecture").contents() == "llama"
    assert gguf.GGUFReader is original


def test_the_library_is_restored_after_an_error(file):
    original = gguf.GGUFReader
    with pytest.raises(FileNotFoundError), parsed_once():
        gguf.GGUFReader(file.with_name("none.gguf"))
    assert gguf.GGUFReader is original
