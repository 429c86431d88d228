"""Credentials on requests through a real gateway: vendors that check them, that end them, that hang."""

import json
import struct
import time
import urllib.error
import zlib

import botocore.session
import pytest
from tests.gateway.asking import QUESTION, get, metric, post
from tests.gateway.loopback import eventually, gateway, stream, stream_of, trace_of
from tests.signing.vendors import SECRET

from freehold.types.endpoint import ANY_SERVED, Endpoint
from freehold.types.route import Route, Target

pytestmark = pytest.mark.process

CLOUDS = ["aws", "google", "azure"]


def incumbent(cloud, **more):
    return Endpoint(
        name="incumbent",
        engine="remote",
        base_url=cloud.url,
        models=ANY_SERVED,
        credentials=cloud.name,
        forward_client_key=True,
        **more,
    )


def until_ready(running):
    """The first credentials are there; on a busy machine loading a cloud's library takes a while."""
    eventually(lambda: ready(running) == "ready", timeout_s=60)


def ready(running):
    try:
        return json.loads(get(running, "/ready"))["status"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


@pytest.mark.parametrize("cloud", CLOUDS, indirect=True)
def test_requests_carry_what_the_vendor_checks_and_no_key_of_a_client(cloud, upstream, tmp_path):
    with gateway(upstream, tmp_path, endpoints=(incumbent(cloud),), log_requests=True) as running:
        until_ready(running)
        status, headers, _ = post(
            running, QUESTION, headers={"authorization": "Bearer sk-client", "x-api-key": "k"}
        )
        assert status == 200, cloud.refused
        kept = trace_of(running, headers["x-freehold-trace-id"])
        whole = cloud.answer
        upstream.answer = lambda seen: (
            stream(stream_of("a")) if b'"stream"' in seen.body and not cloud.check(seen) else whole(seen)
        )
        assert b"[DONE]" in post(running, {**QUESTION, "stream": True})[2]
        # Of any length, and on any path and query.
        long = {**QUESTION, "pad": "x" * 600_000}
        assert post(running, long)[0] == 200, cloud.refused
        assert post(running, QUESTION, path="/v1/chat/completions?a=b%20c&a=%2F")[0] == 200, cloud.refused
        assert ready(running) == "ready"
        assert cloud.number <= 2 and not cloud.refused
        for seen in upstream.seen:
            assert "sk-client" not in str(seen.headers) and "x-api-key" not in seen.headers
    told = (tmp_path / "gateway.log").read_text() + json.dumps(kept.request) + json.dumps(kept.response)
    for secret in (SECRET, "session-1", "AKID1", "ya29"):
        assert secret not in told
    assert SECRET.encode() not in (tmp_path / "freehold.sqlite3").read_bytes()


@pytest.mark.parametrize("cloud", ["aws"], indirect=True)
def test_credentials_that_end_in_the_middle_are_renewed_before(cloud, upstream, tmp_path):
    cloud.lives_s = 8.0
    with gateway(upstream, tmp_path, endpoints=(incumbent(cloud),), retries=0) as running:
        until_ready(running)
        statuses, began = set(), time.monotonic()

        def renewed_twice_and_the_first_ended():
            statuses.add(post(running, QUESTION)[0])
            return cloud.number >= 3 and time.monotonic() > began + cloud.lives_s

        eventually(renewed_twice_and_the_first_ended, timeout_s=60)
    assert statuses == {200} and not cloud.refused


@pytest.mark.parametrize("cloud", ["google"], indirect=True)
def test_a_source_that_hangs_is_503_with_the_reason_and_nothing_goes_out_unsigned(cloud, upstream, tmp_path):
    cloud.hangs_s = 60.0
    with gateway(upstream, tmp_path, endpoints=(incumbent(cloud),)) as running:
        status, _, body = post(running, QUESTION, timeout=20)
        error = json.loads(body)["error"]
        assert (status, error["code"]) == (503, "no_credentials"), body
        assert "endpoint incumbent is not asked: " in error["message"]
        assert ready(running) == "ready", "the process is; what no endpoint answers is a metric"
        assert not [seen for seen in upstream.seen if seen.path.startswith("/v1")], (
            "nothing went out unsigned"
        )


@pytest.mark.parametrize("cloud", ["google"], indirect=True)
def test_a_source_that_fails_leaves_the_routes_next_target_and_comes_back(cloud, upstream, tmp_path):
    cloud.fails = True
    other = Endpoint(name="other", engine="remote", base_url=cloud.url, models=ANY_SERVED)
    route = Route(
        name="r",
        model="m",
        incumbent=Target(endpoint="incumbent"),
        fallback=(Target(endpoint="other"),),
    )
    ends = (incumbent(cloud), other)
    with gateway(upstream, tmp_path, endpoints=ends, routes=(route,), others_to="incumbent") as running:
        assert post(running, {}, path="/v1/files")[0] == 503
        assert (
            metric(running, 'freehold_upstream_failures_total{endpoint="incumbent",kind="credentials"}') == 1
        )
        status, _, body = post(running, QUESTION)
        assert status == 403 and b"unknown token" in body, "the fallback was asked, and this one checks it"
        direct = post(running, {**QUESTION, "model": "x"})
        assert direct[0] in (403, 503)
        cloud.fails = False
        eventually(lambda: post(running, QUESTION)[0] == 200)
    assert SECRET not in (tmp_path / "gateway.log").read_text()


@pytest.mark.parametrize("cloud", ["google"], indirect=True)
def test_a_token_that_is_refused_where_requests_are_passed_on_is_renewed(cloud, upstream, tmp_path):
    ends = (incumbent(cloud),)
    with gateway(upstream, tmp_path, endpoints=ends, others_to="incumbent") as running:
        until_ready(running)
        cloud.tokens.clear()
        eventually(lambda: post(running, {}, path="/v1/files")[0] == 200)
    assert cloud.refused and set(cloud.refused) == {"unknown token"}


def event(headers, payload):
    """A message of AWS's event streams."""
    packed = b""
    for name, value in headers.items():
        packed += (
            bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        )
    start = struct.pack(">II", 16 + len(packed) + len(payload), len(packed))
    start += struct.pack(">I", zlib.crc32(start))
    whole = start + packed + payload
    return whole + struct.pack(">I", zlib.crc32(whole))


@pytest.mark.parametrize("cloud", ["aws"], indirect=True)
def test_bedrocks_own_client_streams_by_the_gateway(cloud, upstream, tmp_path):
    def converse(seen):
        if not seen.path.startswith("/model/") or cloud.check(seen) is not None:
            return source(seen)
        assert seen.place == "/model/eu.anthropic.claude-sonnet-4%3A0/converse-stream"
        kinds = [
            ("messageStart", {"role": "assistant"}),
            ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "on its way"}}),
            ("messageStop", {"stopReason": "end_turn"}),
        ]
        chunks = [
            event(
                {":event-type": kind, ":content-type": "application/json", ":message-type": "event"},
                json.dumps(body).encode(),
            )
            for kind, body in kinds
        ]
        return stream(chunks)

    source, upstream.answer = cloud.answer, converse
    one = incumbent(cloud, dialect="bedrock")
    with gateway(upstream, tmp_path, endpoints=(one,), others_to="incumbent") as running:
        until_ready(running)
        client = botocore.session.Session().create_client(
            "bedrock-runtime",
            endpoint_url=running.base_url,
            region_name="us-east-1",
            aws_access_key_id="AKIDofTheClient",
            aws_secret_access_key="x",
        )
        answer = client.converse_stream(
            modelId="eu.anthropic.claude-sonnet-4:0",
            messages=[{"role": "user", "content": [{"text": "where?"}]}],
        )
        told = [
            part["contentBlockDelta"]["delta"]["text"]
            for part in answer["stream"]
            if "contentBlockDelta" in part
        ]
        assert told == ["on its way"]
        client.close()
    assert all("AKIDofTheClient" not in seen.headers["authorization"] for seen in upstream.seen)
