"""Tools that only look."""

import contextlib
import json
import re
from pathlib import Path

import pytest

from freehold.agents.mcp.tools import TOOLS

pytestmark = pytest.mark.process

README = Path(__file__).parents[4] / "README.md"
ANSWERED_BY = {
    "Where am I, and what next?": {"what_next"},
    "Where does my code use rented models, and until when?": {"scan_code", "list_retirements"},
    "My fine-tuned GPT stops on a date: what now?": {"prepare_rescue", "freeze_incumbent"},
    "What does my application really ask?": {"import_traffic"},
    "Which tasks are in my log, and which one to move first?": {"find_tasks", "draft_project"},
    "What is my task, as data?": {"check_dataset", "build_dataset"},
    "May I use this model for this, and what must I do?": {"check_license"},
    "Which models may I use, can I run, and do what I need?": {"assess_models"},
    "Does it fit this machine, in which quantization, how fast?": {"check_fit", "list_quantizations"},
    "Leave or stay, as far as money goes?": {"estimate_cost"},
    "Can a small one learn my task?": {"check_migration", "migrate", "train_adapter"},
    "Serve it, as fast as this machine can": {"start_gateway", "stop_gateway"},
    "Is what is served what was trained?": {"check_parity"},
    "Is it good enough, against the model I pay for?": {
        "evaluate_answers", "evaluate_served", "compare_scores", "list_evaluations",
    },
    "How many items does a proof need?": {"plan_power"},
    "Not good enough for everything: what may it answer?": {"plan_mixture", "show_mixture"},
    "Move the traffic, and back": {
        "rollout_status", "rollout_begin", "rollout_advance", "rollout_promote", "rollout_pause", "rollout_roll_back",
    },
    "Is it still good?": {"watch_promoted", "list_checks"},
    "Can others read it?": {"show_report"},
    "What is wrong here, or soon will be?": {"diagnose"},
    "Who may ask, and who changed what?": {"read_audit"},
    "Keep it safe, and get it back": {"check_store", "back_up_store"},
    "Delete a person's words, wherever they are": {"preview_forget", "forget"},
}  # fmt: skip
"""Each question, and the tools for it."""


def test_each_question_of_the_readme_has_its_tools_and_no_tool_is_without_a_question():
    rows = set(re.findall(r"^\| ([^|]+?) \| `freehold", README.read_text(), re.MULTILINE))
    assert len(rows) > 4 and rows <= set(ANSWERED_BY)
    assert set().union(*ANSWERED_BY.values()) == set(TOOLS)


def test_code_and_logs(folder, use):
    (folder / "app.py").write_text('client.chat(model="gpt-4-0613")\n')
    assert use("scan_code")["models"][0]["model"] == "gpt-4-0613"
    assert use("scan_code", paths=["app.py"])["files"] == 1
    assert use("list_retirements", models=["gpt-4-0613"])["list"]
    tasks = use("find_tasks", files=["traffic.jsonl"], input="message", label="gold")
    assert tasks["requests"] == 400 and not (folder / ".freehold").exists()


def test_the_next_step_is_told_before_and_after_there_is_traffic(use):
    assert use("what_next")["stage"] == "named"
    use("import_traffic")
    told = use("what_next")
    assert told["stage"] == "imported" and told["next"]["command"].startswith("freehold ")


def test_models_machines_and_money(use):
    use_of = {"mode": "distribute_weights", "commercial": True}
    assert (
        use("check_license", model="google/gemma-3-270m", use=use_of)["outcome"] == "allowed_with_obligations"
    )
    fit = use("check_fit", model="google/gemma-3-270m", machine="L4")
    assert fit["fits"] and fit["parts"]
    quants = use("list_quantizations", model="google/gemma-3-270m", machine="L4")
    assert quants["take"] and quants["rows"]
    assessed = use("assess_models", models=["google/gemma-3-270m"], machine="L4")
    assert json.dumps(assessed).count("google/gemma-3-270m")
    cost = use(
        "estimate_cost", model="Qwen/Qwen3-8B", incumbent="gpt-4o", machine="L4", requests_per_month=2_000_000,
        prompt_tokens=800, completion_tokens=120, usd_per_hour=0.8,
    )  # fmt: skip
    assert cost["sentence"] and cost["advice"]


@pytest.mark.parametrize("name", [name for name, tool in TOOLS.items() if tool.effect == "reads"])
def test_what_says_that_it_reads_changes_no_file(folder, agent, name):
    """Whatever comes out, also an error: on a project without a store nothing is left behind."""
    from freehold.errors import FreeholdError
    from freehold.types.progress import Silent

    arguments = {
        "find_tasks": {"files": ["traffic.jsonl"]},
        "check_license": {"model": "google/gemma-3-270m"},
        "check_fit": {"model": "google/gemma-3-270m", "machine": "L4"},
        "list_quantizations": {"model": "google/gemma-3-270m", "machine": "L4"},
        "plan_power": {"margin": 0.1},
        "compare_scores": {"pairs": [[1, 1]] * 40, "margin": 0.1},
        "assess_models": {"models": ["google/gemma-3-270m"], "machine": "L4"},
        "preview_forget": {"user": "u"},
    }
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    with contextlib.suppress(FreeholdError):
        agent.run(agent.understand(name, arguments.get(name, {})), Silent())
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    made = {path.relative_to(folder).as_posix() for path in after.keys() - before.keys()}
    assert {path: after.get(path) for path in before} == before
    assert not made or (name in OPENS_THE_STORE and all(one.startswith(EMPTY_STORE) for one in made)), made


OPENS_THE_STORE = {"check_dataset", "show_mixture", "check_store", "preview_forget"}
"""As their commands do: an empty store, and the key of pseudonyms, appear in the state folder where there was none."""
EMPTY_STORE = (".freehold/.gitignore", ".freehold/freehold.sqlite", ".freehold/pseudonyms.key")
