"""A vendor that tells what it was asked, so that a call by the gateway can be compared with a direct one."""

import asyncio
import hashlib
import json
import threading

from aiohttp import WSMsgType, web

from freehold.gateway.serve import free_port

AUDIO = bytes(range(256)) * 700


class Vendor:
    """Any path answers with what was asked, as JSON; some with bytes, events, a redirect or a WebSocket."""

    def __init__(self):
        self.seen = []
        self.uploaded_bytes = 0
        self.port = free_port()
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(10)

    @property
    def base_url(self):
        return f"http://127.0.0.1:{self.port}"

    def close(self):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self):
        self._stop = asyncio.Event()
        app = web.Application(client_max_size=1 << 40)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _handle(self, request):
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append((request.method, request.raw_path, headers))
        if headers.get("upgrade") == "websocket" and "realtime" in request.path:
            return await self._speak(request)
        if request.path.endswith("/huge"):
            return await self._swallow(request)
        if request.path.endswith("/early"):
            return web.json_response(
                {"error": {"message": "too large"}}, status=413, headers={"connection": "close"}
            )
        if request.path.endswith("/moved"):
            raise web.HTTPTemporaryRedirect("http://127.0.0.1:9/stolen")
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

    async def _speak(self, request):
        socket = web.WebSocketResponse(protocols=("realtime",), compress=False, max_msg_size=0)
        await socket.prepare(request)
        await socket.send_str(json.dumps({"type": "session.created", "path": request.raw_path}))
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                await socket.send_str(message.data[::-1])
            elif message.type == WSMsgType.BINARY:
                await socket.send_bytes(message.data)
        return socket
