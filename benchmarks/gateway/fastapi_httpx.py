"""The gateway people write first: FastAPI and httpx, the body parsed and made anew.

python benchmarks/gateway/fastapi_httpx.py PORT UPSTREAM
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

app = FastAPI()
client = httpx.AsyncClient(timeout=60)
upstream = sys.argv[2]


@app.post("/v1/chat/completions")
async def chat(request: Request) -> Any:
    body = await request.json()
    if body.get("stream"):

        async def chunks() -> AsyncIterator[bytes]:
            async with client.stream("POST", f"{upstream}/v1/chat/completions", json=body) as answer:
                async for chunk in answer.aiter_bytes():
                    yield chunk

        return StreamingResponse(chunks(), media_type="text/event-stream")
    answer = await client.post(f"{upstream}/v1/chat/completions", json=body)
    return JSONResponse(answer.json(), status_code=answer.status_code)


uvicorn.run(app, port=int(sys.argv[1]), log_level="error", access_log=False)
