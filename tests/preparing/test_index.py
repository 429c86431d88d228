"""Indexes on disk: written once, opened only as they were proven, and found in the same way each time."""

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from freehold.errors import StorageError
from freehold.preparing import index as module
from freehold.preparing.index import ExampleFinder, is_there, open_index, write_index
from freehold.types.endpoint import Example, ExampleIndex

EXAMPLES = [
    Example(id=f"s{number}", question=f"message {number} about a {what}", answer=what)
    for number, what in enumerate(["card", "transfer", "refund", "card"])
]


@pytest.fixture(autouse=True)
def _opened_anew():
    module._opened.cache_clear()


def index_of(written, **fields):
    return ExampleIndex(
        path=written.path, sha256=written.sha256, samples=written.samples, **{"k": 2} | fields
    )


def test_what_is_written_is_found_again_the_nearest_first(tmp_path):
    written = write_index(EXAMPLES, tmp_path)
    assert (written.samples, written.retriever, Path(written.path).parent) == (4, "bm25", tmp_path)
    finder = open_index(index_of(written))
    assert finder.quick
    assert [one.id for one in finder.nearest("a refund please", 1)] == ["s2"]
    assert {one.id for one in finder.nearest("my card", 2)} == {"s0", "s3"}
    assert finder.nearest("3 card", 9)[0].id == "s3"
    assert len(finder.nearest("card", 9)) == 4
    assert [one.id for one in finder.nearest("", 3)] == ["s0", "s1", "s2"], (
        "as written, where nothing is near"
    )


def test_the_same_examples_are_one_index(tmp_path):
    first = write_index(EXAMPLES, tmp_path)
    assert write_index(EXAMPLES, tmp_path) == first
    assert write_index(EXAMPLES[:3], tmp_path).path != first.path
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_one_whose_removal_was_cut_off_is_written_again(tmp_path):
    first = write_index(EXAMPLES, tmp_path)
    (Path(first.path) / module.HEAD).unlink()
    assert not is_there(first)
    assert write_index(EXAMPLES, tmp_path) == first and is_there(first)


@pytest.mark.parametrize("file", [module.EXAMPLES, module.HEAD])
def test_one_that_was_changed_is_not_opened(tmp_path, file):
    written = write_index(EXAMPLES, tmp_path)
    path = Path(written.path) / file
    path.write_bytes(path.read_bytes() + b"\n")
    assert not is_there(written)
    with pytest.raises(StorageError, match="is not the one that was proven") as caught:
        open_index(index_of(written))
    assert "freehold migrate" in caught.value.hint


def test_one_of_another_version_or_that_is_gone_is_not_opened(tmp_path):
    written = write_index(EXAMPLES, tmp_path)
    head = Path(written.path) / module.HEAD
    told = msgspec.json.decode(head.read_bytes())
    head.write_bytes(msgspec.json.encode({**told, "version": 99}))
    with pytest.raises(StorageError, match="version 99, this freehold reads 1"):
        open_index(index_of(written))
    head.write_bytes(b"{")
    with pytest.raises(StorageError, match="cannot be read"):
        open_index(index_of(written))
    shutil.rmtree(written.path)
    with pytest.raises(StorageError, match="No such file"):
        open_index(index_of(written))


def test_an_index_of_nothing_is_a_mistake(tmp_path):
    with pytest.raises(ValueError, match="at least one"):
        write_index([], tmp_path)


def test_the_first_are_the_same_as_those_of_a_whole_sort():
    random = np.random.default_rng(7)
    examples = [Example(id=str(number), question="", answer="") for number in range(200)]

    class Search:
        def scores(self, question):
            return self.values

    search = Search()
    finder = ExampleFinder(examples, search, quick=True)
    for _ in range(200):
        search.values = random.integers(0, random.integers(1, 40) + 1, 200).astype(np.float32)
        whole = np.argsort(-search.values, kind="stable")
        for k in (1, 8, 199, 200, 300):
            assert [int(one.id) for one in finder.nearest("q", k)] == whole[:k].tolist()
