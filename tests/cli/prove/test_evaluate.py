import json

import pytest
from tests.evals import agent_log
from tests.evals.agent_server import agent, recorded


@pytest.fixture
def files(tmp_path):
    def write(n, right):
        for name, count in (("a", n), ("b", right)):
            rows = [{"id": i, "output": "yes" if i < count else "no", "gold": "yes"} for i in range(n)]
            (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        return "--a", tmp_path / "a.jsonl", "--b", tmp_path / "b.jsonl", "--task", "label", "--margin", "0.05"

    return write


@pytest.mark.parametrize(
    ("n", "right", "code", "word"), [(200, 200, 0, "PROMOTE"), (200, 100, 1, "REJECT"), (40, 39, 3, "HOLD")]
)
def test_the_exit_code_says_the_verdict(freehold, files, n, right, code, word):
    status, out, _ = freehold("evaluate", *files(n, right))
    assert status == code
    assert out.startswith(f"{word}  b against a")


def test_json_is_the_whole_record(freehold, files):
    status, out, _ = freehold("evaluate", *files(200, 100), "--json")
    assert status == 1
    assert json.loads(out)["comparison"]["a_only"] == 100


def test_items_show_both_answers(freehold, files):
    _, out, _ = freehold("evaluate", *files(60, 50), "--items", "2")
    assert "2 of 10 items scored differently" in out
    assert "- yes" in out
    assert "+ no" in out


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ((), "say what to compare", "--endpoint URL"),
        (("--a", "x"), "say what to compare", "--a FILE --b FILE"),
        (("--endpoint", "http://127.0.0.1:1"), "no model of the endpoint is named", "--model NAME"),
        (("--endpoint", "http://127.0.0.1:1", "--model", "m"), "no dataset yet", "freehold dataset build"),
        (("--a", "no.jsonl", "--b", "no.jsonl"), "no.jsonl: cannot be read", ""),
        (("--endpoint", "http://u", "--model", "m", "--option", "x"), "expected KEY=VALUE", ""),
    ],
)
def test_mistakes_get_an_error_a_hint_and_code_2(freehold, arguments, message, hint):
    status, _, err = freehold("evaluate", *arguments)
    assert status == 2
    assert message in err
    assert hint in err
    assert "Traceback" not in err


def test_bare_scores_need_no_scorer(freehold, tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.jsonl").write_text("\n".join(f'{{"id": {i}, "score": 1}}' for i in range(250)))
    status, out, _ = freehold("evaluate", "--a", "a.jsonl", "--b", "b.jsonl")
    assert status == 0, out


def test_json_answers_are_told_apart_key_by_key(freehold, tmp_path):
    for name, urgency in (("a", "high"), ("b", "low")):
        output = json.dumps({"intent": "refund", "urgency": urgency}, indent=1 if name == "b" else None)
        gold = json.dumps({"intent": "refund", "urgency": "high"})
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"id": 1, "output": output, "gold": gold}))
    _, out, _ = freehold(
        "evaluate", "--a", "a.jsonl", "--b", "b.jsonl", "--task", "json_fields", "--items", "1"
    )
    assert '- urgency: "high"' in out
    assert '+ urgency: "low"' in out
    assert "- intent" not in out


def test_a_task_may_be_a_file(freehold, files, tmp_path):
    (tmp_path / "triage.toml").write_text(
        '[task]\nscorer = "label"\nmargin = 0.2\n[task.options]\nlabels = ["yes", "no"]\n'
    )
    arguments = files(200, 190)[:4]
    status, out, _ = freehold("evaluate", *arguments, "--task", "triage.toml")
    assert (status, out.split()[0]) == (0, "PROMOTE")
    assert "margin 0.2" in out
    (tmp_path / "triage.toml").write_text('[task]\nscorr = "label"\n')
    status, _, err = freehold("evaluate", *arguments, "--task", "triage.toml")
    assert status == 2
    assert "triage.toml:2: unknown key task.scorr" in err
    assert "did you mean scorer?" in err


@pytest.fixture
def agent_project(freehold, tmp_path):
    """A project with the sessions of an agent's log, all held out."""
    lines = [
        json.dumps(
            {
                "messages": [*one["request"]["messages"], one["response"]["choices"][0]["message"]],
                "tools": one["request"]["tools"],
                "conversation_id": one["session"],
            }
        )
        for one in agent_log.records(20)
        if not one["response"]["choices"][0]["message"].get("refusal")
    ]
    (tmp_path / "agent.jsonl").write_text("\n".join(lines))
    (tmp_path / "freehold.toml").write_text(
        '[app]\nname = "t"\n[data]\nfiles = ["agent.jsonl"]\nheld_out = 0.5\n[task]\nscorer = "turn"\nmargin = 0.1\n'
    )
    assert freehold("import", "agent.jsonl")[0] == 0
    assert freehold("dataset", "build")[0] == 0


def test_whole_sessions_are_played(freehold, agent_project):
    with agent(recorded(20)) as (url, _):
        played = ("evaluate", "--endpoint", url, "--model", "m", "--trajectories", "state:refund")
        status, _, err = freehold(*played)
        assert status == 2
        assert "not begun, nothing was spent: with n = 9 nothing can be proven" in err
        status, out, err = freehold(*played, "--anyway")
        assert status == 3, err
        assert "decisions as recorded" in out
        status, out, _ = freehold(*played, "--anyway", "--json")
    record = json.loads(out)
    assert (status, record["success"], record["ended"]) == (
        3,
        "state:refund",
        {"finished": record["sessions"]},
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--a", "x", "--b", "y", "--trajectories", "final_calls"), "say what to compare"),
        (("--endpoint", "http://u", "--model", "m", "--trajectories", "won"), "unknown success won"),
    ],
)
def test_mistakes_about_trajectories(freehold, arguments, message):
    status, _, err = freehold("evaluate", *arguments)
    assert status == 2
    assert message in err


def test_files_count_their_looks_too(freehold, files):
    first = json.loads(freehold("evaluate", *files(200, 200), "--json").out)["comparison"]
    assert (first["look"]["number"], first["look"]["items"], first["verdict"]) == (1, 200, "promote")
    status, out, _ = freehold("evaluate", *files(200, 199), "--json")
    second = json.loads(out)["comparison"]
    assert (status, second["verdict"], second["reasons"][-1]) == (3, "hold", "repeated_look")
    assert (second["look"]["number"], second["look"]["shared"]) == (2, 200)
    assert second["look"]["first_at"] and not second["look"]["may_promote"]
    status, out, _ = freehold("evaluate", *files(200, 200))
    assert status == 0, "the first once more is the first look"
    _, out, _ = freehold("evaluate", *files(200, 198))
    assert "Look 3 of items first looked at on" in " ".join(out.split())
    assert "200 of 200 items shared" in " ".join(out.split())


def test_planned_looks_at_files_share_alpha(freehold, files):
    for right, status in ((200, 0), (199, 0), (198, 3)):
        ran = freehold("evaluate", *files(200, right), "--planned-looks", "2", "--json")
        found = json.loads(ran.out)["comparison"]
        assert (ran.code, found["alpha"], found["look"]["planned"]) == (status, 0.0125, 2)


def test_evaluations_by_hand_stand_side_by_side(freehold, files):
    for right in (200, 199, 198):
        freehold("evaluate", *files(200, right))
    shown = freehold("report")
    assert shown.code == 0
    head, *rows = shown.out.splitlines()
    assert head.split()[:4] == ["when", "(UTC)", "candidate", "score"] and len(rows) == 3
    assert [row.split()[3] for row in rows] == ["0.9900", "0.9950", "1.0000"], "the last one first"
    listed = freehold("report", "--evaluations", "--json").items
    assert [one["look"] for one in listed] == [3, 2, 1]
    assert [one["verdict"] for one in listed] == ["hold", "hold", "promote"]


def test_no_evaluations_yet(freehold, project):
    assert "no evaluations yet" in freehold("report", "--evaluations").err
    assert freehold("report", "--evaluations", "--json").items == []


def test_which_metric_of_a_harness_was_compared_is_said(freehold, tmp_path):
    for name in "ab":
        rows = [
            {"doc_id": number, "target": "a", "resps": [["a"]], "metrics": ["acc", "acc_norm"],
             "acc": 1.0, "acc_norm": float(number % 2)}
            for number in range(40)
        ]  # fmt: skip
        (tmp_path / f"samples_{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    words = ("evaluate", "--task", "given", "--margin", "0.1", "--json")
    first = freehold(*words, "--a", "samples_a.jsonl", "--b", "samples_b.jsonl").json
    assert first["comparison"]["candidate_mean"] == 1.0
    assert (
        "Scores of samples_a.jsonl: acc; it holds acc_norm, too (samples_a.jsonl::acc_norm)."
        in first["comparison"]["notes"]
    )
    named = freehold(*words, "--a", "samples_a.jsonl::acc_norm", "--b", "samples_b.jsonl::acc_norm").json
    assert named["comparison"]["candidate_mean"] == 0.5
    assert (
        "Scores of samples_b.jsonl: acc_norm; it holds acc, too (samples_b.jsonl::acc)."
        in named["comparison"]["notes"]
    )
