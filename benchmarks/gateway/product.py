"""freehold's gateway as it ships: keys, a route, capture on, metrics.

    python benchmarks/gateway/product.py PORT UPSTREAM FOLDER [CANDIDATE_UPSTREAM CANDIDATE_MODEL]

With a candidate, every request is mirrored to it. `CAPTURE=patterns` in the environment redacts what is kept,
`LIMITS=1` limits the key's requests and tokens, further than any load goes.
"""

from __future__ import annotations

import os
import sys

from freehold.gateway import serve
from freehold.gateway.config import GatewayConfig, to_json
from freehold.gateway.limits.keys import hash_of
from freehold.types.endpoint import ANY_SERVED, Endpoint
from freehold.types.route import ApiKey, Limits, Route, Target

KEY = "fh-benchmark"


def main() -> None:
    port, upstream, folder, *candidate = sys.argv[1:]
    endpoints = [Endpoint(name="incumbent", engine="remote", models=ANY_SERVED, base_url=upstream)]
    route = Route(name="support", model="gpt-4o", incumbent=Target(endpoint="incumbent"))
    if candidate:
        endpoints.append(Endpoint(name="candidate", engine="remote", base_url=candidate[0]))
        route = Route(
            name="support",
            model="*",
            incumbent=Target(endpoint="incumbent"),
            candidate=Target(endpoint="candidate", model=candidate[1]),
            state="shadow",
            shadow_share=1.0,
        )
    limits = Limits()
    if "LIMITS" in os.environ:
        limits = Limits(requests_per_minute=1_000_000_000, tokens_per_minute=1_000_000_000_000)
    config = to_json(
        GatewayConfig(
            port=int(port),
            endpoints=tuple(endpoints),
            routes=(route,),
            store_url=f"sqlite:///{folder}/freehold.sqlite3",
            capture=os.environ.get("CAPTURE", "raw"),
            api_keys=(ApiKey(name="benchmark", hash=hash_of(KEY), limits=limits),),
            shadow_concurrency=256,
        )
    )
    # The configuration comes on stdin, as from `serve.start`; the pipe stays open as the lifeline.
    read, write = os.pipe()
    os.write(write, len(config).to_bytes(8, "big") + config)
    os.dup2(read, 0)
    serve.main()


if __name__ == "__main__":
    main()
