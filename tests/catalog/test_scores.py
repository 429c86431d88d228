from freehold.catalog import scores


def test_tables_of_2025_and_later_say_their_month_and_cover_what_readers_ask_for():
    recent = [row for row in scores.rows() if row.published and row.published >= "2025-01"]
    assert {"GPQA Diamond", "MMLU-Pro", "SWE-bench Verified", "BFCL-V4"} <= {row.task for row in recent}
    assert all(0 <= row.score <= 100 and row.metric == "%" for row in recent)
    assert len({(row.task, row.model, row.source) for row in recent}) == len(recent), (
        "none twice in one table"
    )


def test_a_models_scores_are_found_by_any_of_its_names():
    row = scores.rows()[0]
    assert row in scores.of((row.model.upper(),)) and row in scores.of((f"maker/{row.model}",))
    assert scores.of(("no/such",)) == []
