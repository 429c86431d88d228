"""Tools that only look."""

import contextlib
import json
import re
from pathlib import Path
from typing import get_args

import pytest

from freehold.agents.mcp.tools import TOOLS
from freehold.agents.mcp.tools.asking import READ, Kind
from freehold.errors import FreeholdError
from freehold.progress import Silent

pytestmark = pytest.mark.process

README = Path(__file__).parents[4] / "README.md"
ANSWERED_BY = {
    "Where am I, and what next?": {"read"},
    "Where does my code use rented models, and until when?": {"scan_code", "read"},
    "My fine-tuned GPT stops on a date: what now?": {"prepare_rescue", "run_step"},
    "What does my application really ask?": {"import_traffic"},
    "Which tasks are in my log, and which one to move first?": {"find_tasks", "draft_project"},
    "What is my task, as data?": {"read", "make"},
    "May I use this model for this, and what must I do?": {"check_license"},
    "Which models may I use, can I run, and do what I need?": {"assess_models"},
    "Does it fit this machine, in which quantization, how fast?": {"check_fit"},
    "Leave or stay, on cost alone?": {"estimate_cost"},
    "Can a small one learn my task?": {"check_migration", "migrate", "run_step"},
    "Serve it, as fast as this machine can": {"gateway"},
    "Is what is served what was trained?": {"run_step"},
    "Is it good enough, against the model I pay for?": {"evaluate_answers", "evaluate_served", "compare_scores"},
    "How many items does a proof need?": {"plan_power"},
    "Not good enough for everything: what may it answer?": {"run_step", "read"},
    "Move the traffic, and back": {"read", "move_traffic"},
    "Is it still good?": {"watch_promoted", "read"},
    "Can others read it?": {"read"},
    "What is wrong here, or soon will be?": {"read"},
    "Who may ask, and who changed what?": {"read"},
    "Keep it safe, and get it back": {"read", "make"},
    "Delete a person's words, wherever they are": {"read", "forget"},
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
    assert use("read", kind="retirements", id="gpt-4-0613")["list"]
    tasks = use("find_tasks", files=["traffic.jsonl"], input="message", label="gold")
    assert tasks["requests"] == 400 and not (folder / ".freehold").exists()


def test_the_next_step_is_told_before_and_after_there_is_traffic(use):
    assert use("read", kind="status")["stage"] == "named"
    use("import_traffic")
    told = use("read", kind="status")
    assert told["stage"] == "imported" and told["next"]["command"].partition("(")[0] in TOOLS


def test_models_machines_and_money(use):
    use_of = {"mode": "distribute_weights", "commercial": True}
    assert (
        use("check_license", model="google/gemma-3-270m", use=use_of)["outcome"] == "allowed_with_obligations"
    )
    fit = use("check_fit", model="google/gemma-3-270m", machine="L4")
    assert fit["fits"] and fit["parts"]
    quants = use("check_fit", model="google/gemma-3-270m", machine="L4", quantization="all")
    assert quants["take"] and quants["rows"]
    assessed = use("assess_models", models=["google/gemma-3-270m"], machine="L4")
    assert json.dumps(assessed).count("google/gemma-3-270m")
    cost = use(
        "estimate_cost", model="Qwen/Qwen3-8B", incumbent="gpt-4o", machine="L4", requests_per_month=2_000_000,
        prompt_tokens=800, completion_tokens=120, usd_per_hour=0.8,
    )  # fmt: skip
    assert cost["sentence"] and cost["advice"]


READING = [
    ("scan_code", {}),
    ("find_tasks", {"files": ["traffic.jsonl"]}),
    ("check_license", {"model": "google/gemma-3-270m"}),
    ("assess_models", {"models": ["google/gemma-3-270m"], "machine": "L4"}),
    ("check_fit", {"model": "google/gemma-3-270m", "machine": "L4"}),
    ("check_fit", {"model": "google/gemma-3-270m", "machine": "L4", "quantization": "all"}),
    ("estimate_cost", {}),
    ("plan_power", {"margin": 0.1}),
    ("compare_scores", {"pairs": [[1, 1]] * 40, "margin": 0.1}),
    *(
        ("read", {"kind": kind, **({"id": "user:u"} if kind == "deletion" else {})})
        for kind in get_args(Kind)
    ),
]


def test_each_tool_that_reads_is_tried():
    assert {name for name, _ in READING} == {name for name, tool in TOOLS.items() if tool.effect == "reads"}
    assert get_args(Kind) == tuple(READ)


@pytest.mark.parametrize(("name", "arguments"), READING, ids=str)
def test_what_says_that_it_reads_changes_no_file(folder, agent, name, arguments):
    """Whatever comes out, also an error: on a project without a store nothing is left behind."""
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    with contextlib.suppress(FreeholdError):
        agent.run(agent.understand(name, arguments), Silent())
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    made = {path.relative_to(folder).as_posix() for path in after.keys() - before.keys()}
    opens = arguments.get("kind") in OPENS_THE_STORE and all(one.startswith(EMPTY_STORE) for one in made)
    assert {path: after.get(path) for path in before} == before
    assert not made or opens, made


OPENS_THE_STORE = {"dataset", "mixture", "store", "deletion"}
"""As their commands do: an empty store, and the key of pseudonyms, appear in the state folder where there was none."""
EMPTY_STORE = (".freehold/.gitignore", ".freehold/freehold.sqlite", ".freehold/pseudonyms.key")
