import json
import math

import pytest

from freehold.errors import UsageError
from freehold.workflows.prove.compare import read_pairs


@pytest.fixture
def pairs(tmp_path):
    def write(rows):
        path = tmp_path / "pairs.jsonl"
        path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
        return path

    return write


@pytest.mark.parametrize("key", ["id", "a", "b", "cluster", 'a"b', "a\\b", "a\nb"])
def test_a_key_that_cannot_be_sliced_by_is_refused(pairs, key):
    with pytest.raises(UsageError, match="a comparison cannot be sliced by"):
        read_pairs(pairs([{"id": 0, "a": 1, "b": 1}]), slices=(key,))


def test_columns_clusters_and_slices(pairs):
    rows = [
        {"id": 1, "a": True, "b": 0.5, "cluster": "x", "language": "de", "size": 3},
        {"id": 2, "a": None, "b": 1, "cluster": "x", "language": None},
        {"id": 3, "a": 0, "b": 0},
    ]
    found = read_pairs(pairs(rows), slices=("language", "size"))
    assert found.incumbent[0] == 1.0 and math.isnan(found.incumbent[1])
    assert found.candidate.tolist() == [0.5, 1.0, 0.0]
    assert found.clusters[0] == found.clusters[1] != found.clusters[2]
    assert found.slices == {"language": ["de", None, None], "size": ["3", None, None]}
    assert read_pairs(pairs([{"id": 1, "a": 1, "b": 1}])).clusters is None
