"""What the base install answers without the libraries of its extras."""

import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from freehold import late
from freehold.errors import MissingExtraError

EXAMPLE = Path(__file__).parents[1] / "examples" / "tickets"
LIBRARIES = (
    "aiohttp", "httptools", "jsonschema", "numpy", "prometheus_client", "scipy", "uvloop", "zstandard",
)  # fmt: skip
RUN = """
import sys
sys.modules |= dict.fromkeys({foreign!r})
from freehold.cli.main import main
for words in {commands!r}:
    sys.argv = ["freehold", *words]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
"""
LIST_TOOLS = """
import sys
sys.modules |= dict.fromkeys(set({libraries!r}) - {{"jsonschema"}})  # which mcp asks for itself
from freehold.agents.mcp.server import tool_of
from freehold.agents.mcp.tools import TOOLS
print(*(tool_of(tool).name for tool in TOOLS.values()))
"""
TRAFFIC = ("--requests-per-month=1000", "--prompt-tokens=100", "--completion-tokens=10")
MONEY = ("--usd-per-hour=1",)
PRICED = "[incumbent]\nprice = { prompt = 1, completion = 2 }"


def normalized(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def of_the_base_install():
    """The distributions that an install without extras has."""
    seen, wanted = set(), ["freehold"]
    while wanted:
        name = normalized(wanted.pop())
        if name not in seen:
            seen.add(name)
            asked = [one for one in metadata.requires(name) or () if "extra ==" not in one]
            named = [re.match(r"[\w.-]+", one)[0] for one in asked]
            wanted += [one for one in named if any(metadata.distributions(name=one))]
    return seen


def foreign():
    """The modules that are installed here and not with the base install."""
    base = of_the_base_install()
    packages = metadata.packages_distributions()
    return [module for module, names in packages.items() if not base & set(map(normalized, names))]


def run(folder, program, *commands):
    return subprocess.run(
        [sys.executable, "-c", program.format(libraries=LIBRARIES, foreign=foreign(), commands=commands)],
        cwd=folder,
        env={**os.environ, "FREEHOLD_OFFLINE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


@pytest.mark.process
def test_what_chooses_and_plans_needs_no_extra(tmp_path):
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True)
    config = tmp_path / "freehold.toml"
    config.write_text(
        config.read_text().replace("[incumbent]", PRICED)
    )  # else it is in a list of the extra "costs"
    ran = run(
        tmp_path, RUN, ("--help",), ("--version", "--json"), ("scan", "."), ("license", "Qwen/Qwen3-8B"),
        ("retirements",), ("fit", "Qwen/Qwen3-8B"), ("assess",), ("status",),
        ("cost", "Qwen/Qwen3-8B", "--machine=L4", *TRAFFIC, *MONEY), ("power", "--margin=0.02"),
        ("power", "--margin=0.02", "--sd=0.1"),
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    config.unlink()
    ran = run(tmp_path, RUN, ("init", "traffic.jsonl"))
    assert ran.returncode == 0, ran.stderr


@pytest.mark.process
def test_the_tools_of_a_coding_agent_are_listed_without_an_extra(tmp_path):
    pytest.importorskip("mcp")
    ran = run(tmp_path, LIST_TOOLS)
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.split()) > 20


@pytest.mark.process
@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (("import", "traffic.jsonl"), "prove"), (("compare", "--pairs=pairs.jsonl", "--margin=0.1"), "prove"),
        (("up", "--model=echo"), "gateway"), (("console",), "gateway"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)  # fmt: skip
def test_what_is_missing_is_said_with_its_command(tmp_path, words, extra):
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True)
    (tmp_path / "pairs.jsonl").write_text('{"id": "q", "a": 1, "b": 1}\n')
    ran = run(tmp_path, RUN, words)
    assert ran.returncode == 2
    assert ran.stderr.endswith(f"hint: pip install 'freehold[{extra}]'\n"), ran.stderr


def test_a_library_is_imported_by_its_first_use():
    gone = late._Late("no_such_library_here", "prove", "computing")
    with pytest.raises(MissingExtraError, match="computing needs the extra 'prove'"):
        gone.array()
    here = late._Late("json", "prove", "computing")
    assert here.loads("[1]") == [1]
    assert not hasattr(here, "nothing_of_this_name")


@pytest.mark.process
def test_a_gateway_on_sqlite_starts_without_postgresql_and_without_what_prepares_requests(tmp_path):
    """Of its main process and its recorder: a worker's modules are counted (`gateway/test_counts.py`)."""
    loads = "import sys, freehold.workflows.shift.up, freehold.gateway.capture.recorder; print(*sys.modules)"
    ran = run(tmp_path, loads)
    assert ran.returncode == 0, ran.stderr
    loaded = {".".join(name.split(".")[:3]) for name in ran.stdout.split()}
    unwanted = {
        "numpy",
        "scipy",
        "aiohttp",
        "psycopg",
        "sqlalchemy.dialects.postgresql",
        "freehold.preparing",
    }
    assert not loaded & unwanted
