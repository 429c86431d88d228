"""Clients of a gateway whose workers are renewed: four libraries on kept connections, none of which tries again.

Run as ``python -m tests.gateway.renewal_clients BASE_URL SECONDS TASKS`` for one JSON line: requests by library, and
what went wrong. In a process of its own, as the clients of a gateway are.
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter

QUESTION = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Where is my parcel?"}]}
# Between two requests of one task: none, as under load, and such that connections lie idle meanwhile.
PAUSES_S = (0.0, 0.0, 0.002, 0.01, 0.05, 0.3)
KEY = "fh-none"


async def main(base_url: str, seconds: float, tasks: int) -> dict:
    """Ask until `seconds` have passed, with `tasks` tasks for each library."""
    import aiohttp
    import anthropic
    import httpx
    import openai

    asked, failed = Counter(), Counter()
    deadline = time.monotonic() + seconds
    draws = random.Random(7)

    plain_httpx = httpx.AsyncClient(
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=60),
        timeout=60,
    )
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60))
    of_openai = openai.AsyncOpenAI(base_url=f"{base_url}/v1", api_key=KEY, max_retries=0)
    of_anthropic = anthropic.AsyncAnthropic(base_url=base_url, api_key=KEY, max_retries=0)

    async def by_httpx(stream):
        body = {**QUESTION, "stream": stream}
        async with plain_httpx.stream("POST", f"{base_url}/v1/chat/completions", json=body) as answer:
            data = await answer.aread()
            assert answer.status_code == 200, answer.status_code
            assert not stream or data.endswith(b"data: [DONE]\n\n")

    async def by_aiohttp(stream):
        async with session.post(
            f"{base_url}/v1/chat/completions", json={**QUESTION, "stream": stream}
        ) as answer:
            data = await answer.read()
            assert answer.status == 200, answer.status
            assert not stream or data.endswith(b"data: [DONE]\n\n")

    async def by_openai(stream):
        if stream:
            words = [
                chunk async for chunk in await of_openai.chat.completions.create(**QUESTION, stream=True)
            ]
            assert words[-1].choices[0].finish_reason == "stop"
        else:
            assert (await of_openai.chat.completions.create(**QUESTION)).choices

    async def by_anthropic(stream):
        if stream:
            async with of_anthropic.messages.stream(**QUESTION, max_tokens=9) as answer:
                assert (await answer.get_final_message()).stop_reason
        else:
            assert (await of_anthropic.messages.create(**QUESTION, max_tokens=9)).content

    async def keep_asking(library, ask, number):
        while time.monotonic() < deadline:
            asked[library] += 1
            try:
                await ask(number % 4 == 0)
            except Exception as error:  # noqa: BLE001 (each is counted)
                failed[f"{library}: {type(error).__name__}: {error.__cause__ or error}"[:200]] += 1
            await asyncio.sleep(draws.choice(PAUSES_S) * draws.random())

    libraries = {"httpx": by_httpx, "aiohttp": by_aiohttp, "openai": by_openai, "anthropic": by_anthropic}
    await asyncio.gather(
        *(keep_asking(name, ask, number) for name, ask in libraries.items() for number in range(tasks))
    )
    await session.close()
    await plain_httpx.aclose()
    await of_openai.close()
    await of_anthropic.close()
    return {"asked": dict(asked), "failed": dict(failed)}


if __name__ == "__main__":
    told = asyncio.run(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
    sys.stdout.write(json.dumps(told))
