import pytest
from tests.workflows.incumbent.test_scan import DAY, PYTHON

from freehold.workflows.incumbent.findings import sarif
from freehold.workflows.incumbent.scan import scan

pytestmark = pytest.mark.process


def test_results_have_levels_and_places(tmp_path):
    (tmp_path / "app.py").write_text(PYTHON)
    made = sarif(scan(tmp_path, as_of=DAY), fail_within=30)
    results = made["runs"][0]["results"]
    levels = {result["message"]["text"].split(":")[0]: result["level"] for result in results}
    assert levels["claude-sonnet-4-5-20250929"] == "error"
    assert levels["gpt-4o-2024-08-06"] == "warning"
    assert levels["openai"] == "note"
    rules = {rule["id"] for rule in made["runs"][0]["tool"]["driver"]["rules"]}
    assert {result["ruleId"] for result in results} <= rules
    assert results[0]["locations"][0]["physicalLocation"]["region"]["startLine"] >= 1


def test_a_file_that_was_not_read_is_a_notification(tmp_path):
    (tmp_path / "broken file.py").write_bytes(b"\x7fELF\x00")
    run = sarif(scan(tmp_path, as_of=DAY), fail_within=30)["runs"][0]
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is True
    (told,) = invocation["toolExecutionNotifications"]
    assert "not text" in told["message"]["text"]
    assert told["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "broken%20file.py"
