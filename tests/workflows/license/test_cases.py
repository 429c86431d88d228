import json
import os
from pathlib import Path

import pytest

from freehold.errors import InputError
from freehold.types.use import UseProfile
from freehold.workflows.license.cases import answer_case, read_cases
from freehold.workflows.license.lineage import read_lineage

SHARED = Path(os.environ.get("FREEHOLD_TEST_SHARED") or Path(__file__).parents[4] / "shared")
CASES = SHARED / "license_cases.json"
# Its base is Apache-2.0, whose copy is due on distribution; the case names no duty (and accepts this verdict).
DISPUTED = {"gemma-06"}

needs_cases = pytest.mark.skipif(not CASES.exists(), reason="no shared folder: set FREEHOLD_TEST_SHARED")


@needs_cases
def test_worked_cases():
    wrong = []
    for case in read_cases(CASES):
        question = {key: case[key] for key in ("id", "lineage", "use")}
        answer, expected = answer_case(question), case["expected"]
        due, optional = set(expected["obligations"]), set(expected.get("obligations_optional", []))
        got = set(answer.obligations)
        values = expected.get("obligation_values", {})
        holds = (
            answer.verdict == expected["verdict"]
            and due <= got <= due | optional
            and set(expected.get("violations", [])) <= set(answer.violations)
            and all(answer.obligation_values.get(key) == value for key, value in values.items())
        )
        if not holds:
            wrong.append(case["id"])
    assert set(wrong) == DISPUTED


@needs_cases
def test_what_a_case_expects_is_never_read():
    case = read_cases(CASES)[0]
    lie = {**case, "expected": {"verdict": "allowed", "obligations": ["share_alike"]}}
    assert answer_case(lie) == answer_case(case)


def test_a_name_alone_decides_nothing(tmp_path):
    def ask(model):
        return answer_case(
            {
                "id": "x",
                "lineage": [{"role": "base", "model": model}],
                "use": {"mode": "internal", "commercial": True},
            }
        ).verdict

    assert ask("meta-llama/Llama-9-9B") == "unclear"
    assert ask("Qwen/Qwen9-72B") == "unclear"


def test_bad_files_and_cases_are_named(tmp_path):
    path = tmp_path / "cases.json"
    with pytest.raises(InputError, match=r"cases\.json: cannot be read"):
        read_cases(path)
    path.write_text("{}")
    with pytest.raises(InputError, match="no list of cases"):
        read_cases(path)
    path.write_text(json.dumps({"cases": [{"id": "a-1", "lineage": [{"role": "parent", "model": "m"}]}]}))
    with pytest.raises(InputError, match="case a-1"):
        answer_case(read_cases(path)[0])


def test_a_fact_that_no_field_stands_for_is_named(tmp_path):
    use = {
        "mode": "internal",
        "mau_llama_feature": 5,
        "has_openai_account": False,
        "price": "free",
        "how": None,
    }
    case = {"id": "x", "lineage": [{"role": "base", "model": "xai-org/grok-1", "bits": 4}], "use": use}
    named = [text for text in answer_case(case).assumptions if "is not read" in text]
    assert [text.partition(" is not read")[0] for text in named] == ['price = "free"', "bits = 4"]
    path = tmp_path / "lineage.json"
    path.write_text(json.dumps(case))
    with pytest.raises(InputError, match='price = "free" is not read'):
        read_lineage(path, UseProfile())
