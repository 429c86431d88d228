import json

import pytest


@pytest.fixture
def training_file(tmp_path):
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"message {number}"},
                {"role": "assistant", "content": answer},
            ]
        }
        for number, answer in enumerate(["yes", "no"] * 40)
    ]
    (tmp_path / "training.jsonl").write_text("\n".join(map(json.dumps, rows)))


def test_it_is_prepared_from_the_file_alone(freehold, training_file, tmp_path):
    ran = freehold("rescue", "training.jsonl", "--prepare", "--json")
    assert ran.code == 0, ran.err
    assert sum(ran.json["samples"].values()) == 80
    assert ran.json["asking"] is None
    assert (tmp_path / "freehold-rescue" / "freehold.toml").is_file()
    assert "  freezing   nothing: no API was named" in ran.err


def test_mistakes(refused, freehold, training_file):
    refused("rescue", "--list", message="an account is needed", hint="--api-key-env OPENAI_API_KEY")
    refused("rescue", "gone.jsonl", message="gone.jsonl: no such file")
    for amount, message in (
        ("lots", "is not a number"),
        ("0", "nothing can be asked for 0 dollars"),
        ("nan", "is not a number"),
    ):
        ran = freehold("rescue", "training.jsonl", "--budget-usd", amount)
        assert ran.code == 2 and message in ran.err
