from freehold.types.leak import LeakRate, LeakReport

RATE = LeakRate(what="planted 4 times", secrets=8, extracted=3, by_base=1, ci_low=0.137, ci_high=0.694)


def test_a_rate_comes_with_its_interval_and_what_was_guessed():
    assert RATE.text == (
        "planted 4 times: 3 of 8 (37.5%, 95 % interval 13.7 to 69.4 %, 1 out of the base too)"
    )


def test_a_report_informs_a_verdict_and_holds_nothing():
    report = LeakReport(id="l", base_model="b", dataset_id="d", trained_id="t", attempts=5, rates=(RATE,))
    check = report.check_result()
    assert (check.kind, check.ok, check.record_id) == ("leak", None, "l")
    assert "in 5 attempts each: planted 4 times" in check.text
