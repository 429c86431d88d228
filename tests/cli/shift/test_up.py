import json
import signal
import subprocess
import sys
import urllib.request

import pytest

from freehold.gateway.serve import free_port

pytestmark = pytest.mark.process


@pytest.mark.parametrize("words", [(), ("--json",)], ids=["people", "json"])
def test_the_projects_model_answers_until_ctrl_c(freehold, tmp_path, words):
    (tmp_path / "freehold.toml").write_text('[app]\nname = "support"\n[serve]\nengine = "echo"\n')
    port = free_port()
    command = [sys.executable, "-m", "freehold", "up", "--model", "mine", "--port", str(port), *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=tmp_path
    ) as process:
        try:
            told = process.stdout.readline()
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=20) as answer:
                assert "mine" in [model["id"] for model in json.load(answer)["data"]]
        finally:
            process.send_signal(signal.SIGINT)
        told += process.stdout.read()
    assert process.returncode == 0
    if words:
        assert (json.loads(told)["url"], json.loads(told)["models"]) == (f"http://127.0.0.1:{port}", ["mine"])
    else:
        assert told == f"ready   http://127.0.0.1:{port}/v1\nmodel   mine\n"


def test_mistakes(refused, freehold, serving, project):
    port = serving["url"].rpartition(":")[2]
    refused(
        "up", "--port", port, message=f"port {port} on 127.0.0.1 is in use", hint=f"--port {int(port) + 1}"
    )
    assert "'nope' is not one of" in freehold("up", "--capture", "nope").err


def test_an_address_beyond_loopback_needs_keys_or_a_word(refused, freehold, tmp_path):
    (tmp_path / "freehold.toml").write_text('[app]\nname = "support"\n[serve]\nengine = "echo"\n')
    port = str(free_port("0.0.0.0"))
    refused(
        *("up", "--model", "mine", "--host", "0.0.0.0", "--port", port),
        message="no key is required: everybody there could ask",
        hint="--without-keys",
    )


def test_a_unit_starts_what_the_command_line_says(freehold, project):
    ran = freehold("up", "--render", "systemd", "--no-engine", "--workers", "2", "--user", "ada")
    (line,) = [line for line in ran.out.splitlines() if line.startswith("ExecStart=")]
    assert line.endswith("--no-engine --workers 2") and f"--config {project}/freehold.toml" in line
    assert "User=ada" in ran.out and not (project / ".freehold").exists(), (
        "nothing is made, nothing is started"
    )
