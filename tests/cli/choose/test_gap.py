def test_each_gap_has_both_models_and_its_source(freehold):
    found = freehold("gap", "Banking77", "--json").items
    assert {row["task"] for row in found} == {"Banking77"}
    assert all(row["source"] for row in found)
    shown = freehold("gap", "Banking77").out
    assert shown.count("  open         ") == shown.count("  proprietary  ") == len(found)


def test_a_task_nobody_scored(refused):
    refused("gap", "Banking78", message="no published score of Banking78", hint="did you mean Banking77?")


def test_one_sentence_first_then_a_line_a_task_and_older_ones_apart(freehold, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    found = freehold("gap", "--json").items
    shown = freehold("gap").out
    assert shown.startswith("In the newest table of each of ")
    assert max(map(len, shown.splitlines())) <= 80
    recent, older = shown.split("Before 2025, of models of that time:")
    tasks = {row["task"] for row in found if row["published"] and row["published"] >= "2025"}
    assert all(f"\n  {task} " in recent for task in tasks)
    assert "LoRA Land" not in recent and "LoRA Land, arXiv 2405.00732, table 12 (2024-05)" in older
    for source in {row["source"] for row in found if row["task"] == "GPQA Diamond"}:
        assert source in freehold("gap", "GPQA Diamond").out.replace("\n  ", " ")
