from tests.datasets.importing.lines import PAIR, write

from freehold.datasets.importing import read


def test_pairs_keep_gold_group_and_metadata(tmp_path):
    (one,) = read(write(tmp_path / "a.jsonl", PAIR))
    assert (one.gold, one.conversation_id, one.metadata) == ('{"intent":"greeting"}', "7", {"language": "en"})


def test_the_time_is_the_record_s_else_the_answer_s(tmp_path):
    answered = {**PAIR, "response": {**PAIR["response"], "created": 1_767_225_600}}
    plain, told, both = read(
        write(tmp_path / "a.jsonl", PAIR, answered, {**answered, "at": "2026-03-01T08:00:00Z"})
    )
    assert plain.at is None
    assert told.at.isoformat() == "2026-01-01T00:00:00+00:00"
    assert both.at.isoformat() == "2026-03-01T08:00:00+00:00"
