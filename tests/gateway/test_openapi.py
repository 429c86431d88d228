"""The published OpenAPI document: it is up to date, whole, and what a real gateway does."""

import importlib.util
import json
import subprocess
import sys

import pytest
from tests.gateway.loopback import gateway
from tests.source import ROOT, script

from freehold.gateway import feedback, pages
from freehold.gateway.config import ApiKey
from freehold.gateway.limits.keys import hash_of, new_key
from freehold.types.route import Route, Target

PUBLISHED = ROOT / "docs" / "reference" / "openapi.json"


def made():
    return script("openapi.py")


def test_what_is_published_is_up_to_date():
    assert PUBLISHED.read_text() == made().text(), "run scripts/docs"


def test_every_path_the_gateway_answers_itself_is_in_it():
    paths = json.loads(PUBLISHED.read_text())["paths"]
    own = {f"{pages.MODEL_PREFIX}{{name}}", feedback.PATH, *pages.PAGES}
    assert own == set(paths)


@pytest.mark.process
@pytest.mark.timeout(300)
@pytest.mark.skipif(importlib.util.find_spec("schemathesis") is None, reason="schemathesis is not installed")
def test_a_real_gateway_does_what_it_says(upstream, tmp_path):
    """Hundreds of requests made from the document, right ones and wrong: no 5xx, each answer as it is described."""
    boss = new_key()
    keys = (ApiKey(name="boss", hash=hash_of(boss), role="admin"),)
    # What the document gives as examples is there.
    route = Route(name="support", model="support", incumbent=Target(endpoint="incumbent"))
    with gateway(upstream, tmp_path, api_keys=keys, routes=(route,)) as running:
        checks = (
            "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
        )
        command = [sys.executable, "-m", "schemathesis.cli", "run", str(PUBLISHED), "--url", running.base_url]
        command += ["--header", f"Authorization: Bearer {boss}", "--checks", checks, "--max-examples", "15"]
        command += [
            "--seed",
            "1",
            "--no-color",
            "--phases",
            "examples,coverage,fuzzing",
            "--continue-on-failure",
        ]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=280, check=False)
        assert running.is_running()
    asked = sum(
        len(methods.keys() - {"parameters"})
        for methods in json.loads(PUBLISHED.read_text())["paths"].values()
    )
    assert f"Tested: {asked}" in done.stdout
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-1000:]
    assert "Traceback" not in (tmp_path / "gateway.log").read_text()
