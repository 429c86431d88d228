"""What serves a model: llama.cpp, vLLM, Ollama, a remote API, and the shipped fake.

::

    async with engines.start(plan, log_dir=state / "engines", name="candidate") as endpoint:
        ...                                     # an Endpoint anyone can talk to

Each engine is a child process or a connection; what comes out is an `Endpoint`. `engines.check(plan)` says
before anything starts whether the plan can hold.
"""

from freehold.engines.engine import ENGINES, Engine, RunningEngine, Session, check, load, start

__all__ = ["ENGINES", "Engine", "RunningEngine", "Session", "check", "load", "start"]
