"""A server that speaks the part of Ollama's API that the engine uses."""

import hashlib
import json
from contextlib import asynccontextmanager

from aiohttp import web

from freehold.engines.echo_answers import EchoOptions
from freehold.engines.echo_server import EchoApp
from freehold.types.endpoint import ServePlan


class FakeOllama(EchoApp):
    """What Ollama documents of its API, as far as the engine uses it, with echo's answers behind ``/v1``."""

    version = "0.12.0"
    base = "b" * 64
    """Hash of the weights its model is made from."""
    context_limit = None
    """The most context it loads, whatever ``num_ctx`` asks for, as Ollama does when memory is short."""

    def __init__(self):
        plan = ServePlan(engine="echo", model="smollm2:135m", context_tokens=8192, parallel=2)
        super().__init__(plan, EchoOptions())
        self.created = {}
        self.blobs = set()
        self.registry = {"tinyllama"}

    def application(self):
        app = super().application()
        routes = app.router
        routes.add_get("/api/version", self.get_version)
        routes.add_post("/api/show", self.show)
        routes.add_post("/api/create", self.create)
        routes.add_post("/api/pull", self.pull)
        routes.add_delete("/api/delete", self.delete)
        routes.add_get("/api/ps", self.loaded)
        routes.add_route("HEAD", "/api/blobs/{digest}", self.has_blob)
        routes.add_post("/api/blobs/{digest}", self.put_blob)
        return app

    async def get_version(self, _):
        return web.json_response({"version": self.version})

    async def show(self, request):
        if (await request.json())["model"] not in self._models:
            return web.json_response({"error": "model not found"}, status=404)
        info = {"general.architecture": "llama", "llama.context_length": 8192}
        modelfile = (
            f"# Modelfile\nFROM /usr/share/ollama/.ollama/models/blobs/sha256-{self.base}\nTEMPLATE x\n"
        )
        return web.json_response(
            {"model_info": info, "modelfile": modelfile, "capabilities": ["completion", "tools", "embedding"]}
        )

    async def pull(self, request):
        """Lines of progress, and an error as a line with status 200, as Ollama does."""
        model = (await request.json())["model"]
        reply = web.StreamResponse()
        await reply.prepare(request)
        lines = [{"status": "pulling manifest"}, {"status": "downloading", "total": 100, "completed": 40}]
        known = model in self.registry
        lines.append(
            {"status": "success"} if known else {"error": "pull model manifest: file does not exist"}
        )
        for line in lines:
            await reply.write(json.dumps(line).encode() + b"\n")
        if known:
            self._models.append(model)
        return reply

    async def create(self, request):
        body = await request.json()
        if body["from"] not in self._models or set(body.get("adapters", {}).values()) - self.blobs:
            return web.json_response({"error": "no such model or blob"}, status=400)
        self.created[body["model"]] = body
        self._models.append(body["model"])
        if body.get("adapters"):
            self._answers[body["model"]] = {"Where is my order?": "tracking"}
        return web.json_response({"status": "success"})

    async def delete(self, request):
        model = (await request.json())["model"]
        if self.created.pop(model, None) is None:
            return web.json_response({"error": "model not found"}, status=404)
        self._models.remove(model)
        return web.Response()

    async def loaded(self, _):
        limit = self.context_limit or 1 << 30
        rows = [
            {"name": name, "model": name, "context_length": min(body["parameters"]["num_ctx"], limit)}
            for name, body in self.created.items()
        ]
        return web.json_response({"models": rows})

    async def has_blob(self, request):
        return web.Response(status=200 if request.match_info["digest"] in self.blobs else 404)

    async def put_blob(self, request):
        data = await request.read()
        digest = request.match_info["digest"]
        if digest != f"sha256:{hashlib.sha256(data).hexdigest()}":
            return web.Response(status=400)
        self.blobs.add(digest)
        return web.Response(status=201)


@asynccontextmanager
async def fake_ollama():
    """A fake Ollama on a free port: ``(fake, url)``."""
    fake = FakeOllama()
    runner = web.AppRunner(fake.application(), shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield fake, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
