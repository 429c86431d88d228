"""The gateway, the console, weights and engines by command."""

import json
import signal
import subprocess
import sys
import urllib.request

import pytest
from tests.engines.weights.conftest import _tiny_gguf

from freehold.processes import claim_port


@pytest.mark.process
def test_the_projects_model_answers_until_ctrl_c(tmp_path):
    (tmp_path / "freehold.toml").write_text('[app]\nname = "support"\n[serve]\nengine = "echo"\n')
    port = claim_port()
    command = [sys.executable, "-m", "freehold", "up", "--model", "mine", "--port", str(port)]
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
    assert told == f"ready   http://127.0.0.1:{port}/v1\nmodel   mine\n"


@pytest.mark.process
def test_an_address_beyond_loopback_needs_keys_or_a_word(refused, freehold, tmp_path):
    (tmp_path / "freehold.toml").write_text('[app]\nname = "support"\n[serve]\nengine = "echo"\n')
    port = str(claim_port("0.0.0.0"))
    refused(
        *("up", "--model", "mine", "--host", "0.0.0.0", "--port", port),
        message="no key is required: everybody there could ask",
        hint="--without-keys",
    )


@pytest.mark.process
def test_the_project_is_named_by_its_folder(tmp_path):
    (tmp_path / "freehold.toml").write_text('[app]\nname = "shop"\n')
    command = [sys.executable, "-m", "freehold", "console", "--port", "0", "--config", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            address = process.stdout.readline().strip()
            url, _, token = address.partition("/#token=")
            headers = {"Authorization": f"Bearer {token}"}
            asked = urllib.request.Request(f"{url}/api/visitor", headers=headers)
            with urllib.request.urlopen(asked, timeout=20) as visitor:
                assert json.load(visitor)["role"] == "operate"
        finally:
            process.send_signal(signal.SIGINT)
    assert process.returncode == 0


@pytest.mark.process
def test_beyond_loopback_a_key_opens_it_and_no_address_with_a_token_is_told(freehold, refused, project):
    refused("console", "--host", "0.0.0.0", message="no key opens it", hint="--role read")
    freehold("keys", "add", "app")
    refused("console", "--host", "0.0.0.0", message="no key opens it")
    secret = freehold("keys", "add", "ops", "--role", "operate").out.strip()
    command = [sys.executable, "-m", "freehold", "console", "--port", "0", "--host", "0.0.0.0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=project
    ) as process:
        try:
            url = process.stdout.readline().strip()
            assert "token" not in url
            body = json.dumps({"key": secret}).encode()
            asked = urllib.request.Request(f"{url}/api/login", body, {"Origin": url})
            with urllib.request.urlopen(asked, timeout=20) as answer:
                assert json.load(answer)["role"] == "operate"
        finally:
            process.send_signal(signal.SIGINT)
    assert process.returncode == 0


def test_each_engine_says_whether_it_can_be_used(freehold):
    found = {line["name"]: line for line in freehold("engines", "list", "--json").items}
    assert found["echo"]["available"] and found["remote"]["available"]
    assert "freehold engines install vllm" in found["vllm"]["note"]
    assert [line.split()[0] for line in freehold("engines", "list").out.splitlines()] == list(found)


def test_what_install_began_is_removed(freehold, refused, tmp_path):
    refused("engines", "rm", "vllm-cpu", message="vllm-cpu is not installed")
    begun = tmp_path / "home" / "engines" / "vllm-cpu"
    begun.mkdir(parents=True)
    (begun / "half").write_bytes(b"x" * 5000)
    told = freehold("engines", "rm", "vllm-cpu", "--json").fields
    assert told["name"] == "vllm-cpu" and told["freed_bytes"] >= 5000 and not begun.exists()


@pytest.fixture
def weights(freehold, tmp_path):
    """A file that looks like a GGUF, registered where it lies."""
    (tmp_path / "mine.gguf").write_bytes(_tiny_gguf())
    ran = freehold("models", "pull", "file:mine.gguf", "--json")
    assert ran.code == 0, ran.err
    return ran.json


def test_weights_are_used_in_place_listed_shown_and_forgotten(freehold, weights, tmp_path):
    assert weights["path"] == str(tmp_path / "mine.gguf")
    assert freehold("models", "pull", "file:mine.gguf").out.endswith(f"  sha256  {weights['sha256']}\n")
    name = weights["model_id"]
    (listed,) = freehold("models", "list", "--json").fields["weights"]
    assert (listed["weights"]["model_id"], listed["owned"]) == (name, False)
    assert "(in place)" in freehold("models", "list").out
    assert listed["weights"] == {key: value for key, value in weights.items() if key != "schema"}
    assert "its files stay at" in freehold("models", "rm", name).err
    assert (tmp_path / "mine.gguf").exists()
    assert "no weights here yet; freehold models pull MODEL gets some" in freehold("models", "list").err
