"""Credentials are kept fresh off the hot path, and their absence is told."""

import asyncio
import logging
import threading
import time

import pytest

from freehold.signing import keeper as module
from freehold.signing.keeper import CredentialKeeper, NoCredentialsError
from freehold.signing.source import CredentialError, Issued


class Source:
    """Gives numbers; `go` lets a fetch come back."""

    def __init__(self, *, refresh_in=60.0, lives_s=3600.0, error=None):
        self.fetched = 0
        self.refresh_in, self.lives_s, self.error = refresh_in, lives_s, error
        self.go = threading.Event()
        self.go.set()

    def fetch(self):
        self.go.wait(20)
        if self.error is not None:
            raise self.error
        self.fetched += 1
        now = time.time()
        return Issued(self.fetched, now + self.refresh_in, now + self.lives_s)


def kept(source):
    return CredentialKeeper("cloud", "aws", source)


async def until(claim):
    for _ in range(500):
        if claim():
            return
        await asyncio.sleep(0.01)
    raise AssertionError


def test_no_request_waits_for_newer_ones(monkeypatch):
    monkeypatch.setattr(module, "_AGAIN_AFTER_S", 0.0)

    async def main():
        source = Source(refresh_in=-1.0)
        one = kept(source)
        await one.value()
        source.go.clear()
        assert [await one.value() for _ in range(20)] == [1] * 20, "the source hangs, and these are good"
        source.go.set()
        await until(lambda: source.fetched == 2)
        await until(lambda: one._fetching is None)
        assert await one.value() in (2, 3)

    asyncio.run(main())


def test_those_that_ended_are_not_sent(monkeypatch):
    monkeypatch.setattr(module, "_AGAIN_AFTER_S", 0.0)

    async def main():
        source = Source()
        one = kept(source)
        assert await one.value() == 1
        one._issued = one._issued._replace(expires_s=time.time())
        assert await one.value() == 2
        source.error = CredentialError("gone")
        one._issued = one._issued._replace(expires_s=time.time())
        with pytest.raises(NoCredentialsError, match=r"endpoint cloud is not asked: .*\(gone\)"):
            await one.value()

    asyncio.run(main())


def test_a_source_that_hangs_has_a_deadline_and_costs_it_once(monkeypatch):
    monkeypatch.setattr(module, "WITHIN_S", 0.2)

    async def main():
        source = Source()
        source.go.clear()
        one = kept(source)
        told = r"AWS has not given credentials within 0\.2 s"
        with pytest.raises(NoCredentialsError, match=told):
            await one.value()
        with monkeypatch.context() as patch:
            patch.setattr(asyncio, "wait", None)
            for _ in range(5):
                with pytest.raises(NoCredentialsError, match=told):
                    await one.value()
        source.go.set()
        await until(lambda: source.fetched)
        await until(lambda: one._fetching is None)
        assert await one.value() == 1

    asyncio.run(main())


def test_one_that_fails_is_given_a_pause_and_its_words_are_not_told(caplog):
    caplog.set_level(logging.WARNING, "freehold.gateway")

    async def main():
        source = Source(error=RuntimeError("secret-word"))
        one = kept(source)
        for _ in range(3):
            with pytest.raises(
                NoCredentialsError, match=r"no credentials of AWS can be had \(RuntimeError\)"
            ):
                await one.value()
        source.error = None
        with pytest.raises(NoCredentialsError):  # in the pause
            await one.value()
        one._again_s = 0.0
        assert await one.value() == 1

    asyncio.run(main())
    assert "secret-word" not in caplog.text
    assert [line.count("RuntimeError") for line in caplog.text.splitlines()] == [1, 0], (
        "said once, and its end"
    )
