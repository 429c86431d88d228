"""A vendor that tells what it was asked, so that a call by the gateway can be compared with a direct one."""

import hashlib
import json

import pytest
from aiohttp import web
from tests.gateway.loopback import FakeUpstream

from freehold.types.endpoint import Endpoint, ServedModel

AUDIO = bytes(range(256)) * 700


class Vendor(FakeUpstream):
    """Any path answers with what was asked, as JSON; some with bytes or events."""

    uploaded_bytes = 0

    async def _handle(self, request):
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append((request.method, request.raw_path, headers))
        if request.path.endswith("/huge"):
            return await self._swallow(request)
        if request.path.endswith(("/content", "/speech")):
            return web.Response(body=AUDIO, content_type="audio/mpeg")
        if request.path.endswith("/models") and request.method == "GET":
            rows = [{"id": "gpt-4o", "object": "model"}, {"id": "whisper-1", "object": "model"}]
            return web.json_response({"object": "list", "data": rows})
        said = await self._said(request)
        if "stream" in said["fields"]:
            return await self._events(request, said)
        status = 404 if request.path.endswith("/missing") else 200
        return web.json_response(
            said, status=status, headers={"x-request-id": "req_1", "x-ratelimit-limit": "9"}
        )

    async def _said(self, request):
        fields = {}
        if request.content_type.startswith("multipart/"):
            async for part in await request.multipart():
                data = await part.read(decode=False)
                fields[part.name] = [part.filename, hashlib.sha256(data).hexdigest()]
        elif body := await request.read():
            fields = json.loads(body)
        where = {"verb": request.method, "path": request.path, "query": dict(request.query)}
        return {"id": "one", "object": "thing", "data": [], "fields": fields, **where}

    async def _events(self, request, said):
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for number in range(3):
            event = {"object": "thread.message.delta", "n": number, "path": said["path"]}
            await response.write(f"event: thread.message.delta\ndata: {json.dumps(event)}\n\n".encode())
        await response.write(b"event: done\ndata: [DONE]\n\n")
        return response

    async def _swallow(self, request):
        self.uploaded_bytes = 0
        digest = hashlib.sha256()
        async for data in request.content.iter_chunked(1 << 20):
            digest.update(data)
            self.uploaded_bytes += len(data)
        return web.json_response({"bytes": self.uploaded_bytes, "sha256": digest.hexdigest()})


@pytest.fixture(scope="module")
def vendor():
    one = Vendor()
    yield one
    one.close()


def incumbent(vendor, **more):
    served = (ServedModel(name="gpt-4o", upstream_name="gpt-4o"),)
    changes = {"base_url": vendor.base_url, "models": served, "forward_client_key": True, **more}
    return Endpoint(name="incumbent", engine="remote", **changes)
