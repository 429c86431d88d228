"""Which processes use a file of weights."""

import mmap

from freehold.engines.weights.check import users


def test_nobody_uses_a_file_of_ours_but_ourselves(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(bytes(100))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ):
        assert users(path) == ()
