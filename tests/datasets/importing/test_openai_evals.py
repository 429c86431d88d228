from tests.datasets.importing.exports import ASKED, SAID, answer, one, read


def test_evals_output_items_and_record_files(tmp_path):
    item = {
        "object": "eval.run.output_item",
        "id": "o1",
        "datasource_item": {"input": "lamp?", "ideal": "order_status", "language": "en"},
        "sample": {"input": ASKED, "output": [SAID], "model": "gpt-4o", "error": None},
    }
    page = {"object": "list", "data": [item], "has_more": False}
    format, found = one(tmp_path, page)
    assert (format, found.gold, found.metadata) == ("evals", "order_status", {"language": "en"})
    assert answer(found)["content"] == "on its way"
    format, found = one(tmp_path, {"item": {"input": ASKED, "ground_truth": "x"}})
    assert (format, found.gold, found.response) == ("evals", "x", None)
    format, rows = read(
        tmp_path,
        {"spec": {"completion_fns": ["gpt-4o"]}},
        {
            "event_id": 0,
            "sample_id": "t.1",
            "type": "sampling",
            "data": {"prompt": ASKED, "sampled": ["yes"]},
        },
        {"event_id": 1, "sample_id": "t.1", "type": "match", "data": {"correct": True, "expected": "yes"}},
        {"final_report": {"accuracy": 1.0}},
    )
    (found,) = rows
    assert (format, found.request["model"], found.gold, answer(found)["content"]) == (
        "evals",
        "gpt-4o",
        "yes",
        "yes",
    )
