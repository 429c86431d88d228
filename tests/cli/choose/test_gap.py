def test_each_gap_has_both_models_and_its_source(freehold):
    found = freehold("gap", "Banking77", "--json").items
    assert {row["task"] for row in found} == {"Banking77"}
    assert all(row["source"] for row in found)
    shown = freehold("gap", "Banking77").out
    assert shown.count("  open         ") == shown.count("  proprietary  ") == len(found)


def test_a_task_nobody_scored(refused):
    refused("gap", "Banking78", message="no published score of Banking78", hint="did you mean Banking77?")
