from tests.datasets.importing.lines import PAIR, write

from freehold.datasets.importing import read


def test_pairs_keep_gold_group_and_metadata(tmp_path):
    (one,) = read(write(tmp_path / "a.jsonl", PAIR))
    assert (one.gold, one.conversation_id, one.metadata) == ('{"intent":"greeting"}', "7", {"language": "en"})
