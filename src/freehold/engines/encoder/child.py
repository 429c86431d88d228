"""An encoder's server as a process."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec

from freehold import logs
from freehold.encoders.folder import read_manifest
from freehold.encoders.runner import load_runner
from freehold.engines.encoder.app import EncoderApp
from freehold.engines.encoder.batching import EncoderOptions
from freehold.engines.guard import read_plan, serve
from freehold.errors import FreeholdError


def main() -> int:
    """Serve the plan on stdin; 1 where the encoder cannot be loaded, with the reason as the last line of the log."""
    logs.configure()
    plan, key = read_plan()
    folder = Path(plan.weights_path or "")
    try:
        options = msgspec.convert(plan.options, EncoderOptions)
        runner = load_runner(folder, threads=plan.threads or 1, most_tokens=plan.context_tokens)
        app = EncoderApp(plan, options, read_manifest(folder), runner, key).application()
        asyncio.run(serve(app, plan, handler_cancellation=True))  # a client that leaves takes its texts out
    except FreeholdError as error:
        print(f"error: {error.message}", file=sys.stderr, flush=True)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
