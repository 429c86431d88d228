from freehold.types.parity import ParityReport

REPORT = {
    "id": "p", "at": "2026-03-01", "version": "0", "model": "m", "adapter_id": None, "engine": "llamacpp",
    "causes": (), "prompts": 20, "prompts_equal": 20, "tokens": 640, "token_agreement": 0.9875, "distance": None,
    "base_distance": None, "stops": 20, "stops_equal": 20, "items": (),
}  # fmt: skip


def test_what_passed_is_told_in_numbers():
    check = ParityReport(**REPORT, passed=True, reasons=()).check_result()
    assert check.ok and check.kind == "parity" and check.record_id == "p"
    assert "20 of 20 prompts" in check.text and "98.8% of 640 greedy tokens" in check.text


def test_what_failed_is_told_by_its_reasons():
    check = ParityReport(**REPORT, passed=False, reasons=("other template", "other stop")).check_result()
    assert check.ok is False and check.text == "not served as trained: other template; other stop"
