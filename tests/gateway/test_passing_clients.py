"""All an application asks besides its model: the real clients by the gateway, against the same calls made directly."""

import contextlib
import hashlib
import io
import json

import anthropic
import httpx
import openai
import pytest
from tests.gateway.asking import get, metric, post
from tests.gateway.loopback import eventually, gateway
from tests.gateway.vendor import AUDIO, incumbent

from freehold.types.endpoint import ServedModel

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def passing(vendor, tmp_path_factory):
    folder = tmp_path_factory.mktemp("passing")
    with gateway(
        vendor, folder, endpoints=(incumbent(vendor),), others_to="incumbent", log_requests=True
    ) as one:
        yield one


def file(words=b"hello"):
    return ("notes.txt", io.BytesIO(words), "text/plain")


OPENAI = {
    "other model": lambda c: c.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": "x"}]
    ),
    "moderations": lambda c: c.moderations.create(input="x", model="omni-moderation-latest"),
    "files.create": lambda c: c.files.create(file=file(), purpose="batch"),
    "files.list": lambda c: c.files.list(limit=2, order="asc"),
    "files.content": lambda c: c.files.content("file-1"),
    "audio.speech": lambda c: c.audio.speech.create(model="tts-1", voice="alloy", input="x"),
    "threads.runs, streamed": lambda c: list(
        c.beta.threads.runs.create("t_1", assistant_id="a_1", stream=True)
    ),
    "models.list": lambda c: c.models.list(),
    "models.delete": lambda c: c.models.delete("ft:gpt-4o:org::id"),
    "an error": lambda c: c.get("/files/missing", cast_to=object),
}


def outcome(call, client):
    try:
        answer = call(client)
    except openai.APIStatusError as error:
        return error.status_code, error.body
    if isinstance(answer, list):
        return [one.model_dump() for one in answer]
    if hasattr(answer, "read"):
        return answer.read()
    return answer.model_dump() if hasattr(answer, "model_dump") else answer


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", OPENAI)
def test_the_openai_client_gets_what_a_direct_call_gets(vendor, passing, name):
    outcomes = []
    for base_url in (vendor.base_url, passing.base_url):
        with openai.OpenAI(base_url=f"{base_url}/v1", api_key="sk-client", max_retries=0) as client:
            outcomes.append(outcome(OPENAI[name], client))
    direct, passed = outcomes
    assert passed == direct
    assert (
        vendor.seen[-1][2]["authorization"] == "Bearer sk-client"
        and vendor.seen[-1][:2] == vendor.seen[-2][:2]
    )


@pytest.mark.parametrize(
    ("path", "reached"),
    [
        ("/v1/files/", "/v1/files/"),
        ("/files?limit=1", "/v1/files?limit=1"),
        ("/v1/files?after=a%2Fb&include[]=x", "/v1/files?after=a%2Fb&include[]=x"),
    ],
)
def test_other_spellings_of_a_path(vendor, passing, path, reached):
    assert json.loads(get(passing, path))["verb"] == "GET"
    assert vendor.seen[-1][1] == reached


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/chat/completions/", "/chat/completions/?a=1"])
def test_other_spellings_of_a_model_call_are_model_calls(vendor, passing, path):
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}]}
    status, headers, _ = post(passing, body, path=path)
    assert status == 200 and headers["x-freehold-trace-id"]
    assert vendor.seen[-1][1] == "/v1/chat/completions" + ("?a=1" if "a=1" in path else "")


def test_what_is_passed_on_is_counted_by_kind_and_logged(vendor, passing):
    before = metric(passing, 'freehold_passed_on_total{endpoint="incumbent",path="files",status="200"}')
    get(passing, "/v1/files")
    assert (
        metric(passing, 'freehold_passed_on_total{endpoint="incumbent",path="files",status="200"}')
        == before + 1
    )
    assert (
        metric(passing, 'freehold_requests_total{arm="incumbent",endpoint="incumbent",route="",status="200"}')
        > 0
    )

    def lines():
        text = passing.log.read_text().splitlines()
        told = [json.loads(line) for line in text if '"event":"request"' in line]
        return [one for one in told if one["kind"] == "files" and one["method"] == "GET"]

    assert eventually(lines)[-1]["path"].startswith("/v1/files")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_long_upload_is_passed_on_whole_and_a_longer_one_refused(vendor, passing, chunked):
    piece, url = AUDIO[: 1 << 17], f"{passing.base_url}/v1/uploads/huge"

    def sent(mib):
        headers = {} if chunked else {"content-length": str(mib << 20)}
        with httpx.Client(timeout=120) as client:
            return client.post(url, content=(piece for _ in range(mib * 8)), headers=headers)

    assert sent(40).json() == {"bytes": 40 << 20, "sha256": hashlib.sha256(piece * 320).hexdigest()}
    before = len(vendor.seen)
    with contextlib.suppress(httpx.WriteError):  # it may be cut off while it is still sent
        assert sent(65).status_code == 413
    assert len(vendor.seen) == before


def test_anthropics_batches_and_files(vendor, tmp_path):
    one = incumbent(vendor, api="anthropic", models=(ServedModel(name="claude", upstream_name="claude"),))
    with gateway(vendor, tmp_path, endpoints=(one,), others_to="incumbent") as running:
        outcomes = []
        for base_url in (vendor.base_url, running.base_url):
            with anthropic.Anthropic(base_url=base_url, api_key="sk-client", max_retries=0) as client:
                batch = {"custom_id": "a", "params": {"model": "claude", "max_tokens": 5, "messages": []}}
                outcomes.append(
                    [
                        client.messages.batches.create(requests=[batch]).model_dump(),
                        client.messages.batches.list(limit=3).model_dump(),
                        client.messages.batches.cancel("b_1").model_dump(),
                        client.beta.files.upload(file=file()).model_dump(),
                        client.beta.files.list().model_dump(),
                        client.models.retrieve("claude-x").model_dump(),
                        client.messages.create(
                            model="claude-other", max_tokens=5, messages=[{"role": "user", "content": "x"}]
                        ).model_dump(),
                    ]
                )
        assert outcomes[0] == outcomes[1]
        assert vendor.seen[-1][2]["authorization"] == "Bearer sk-client"
        # A client of OpenAI's means another host with its key.
        before = len(vendor.seen)
        for path in ("/v1/files", "/v1/moderations", "/v1/audio/speech"):
            assert post(running, b"{}", path=path, headers={"authorization": "Bearer sk-openai"})[0] == 404
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}]}
        assert post(running, body, headers={"authorization": "Bearer sk-openai"})[0] == 404
        assert len(vendor.seen) == before
