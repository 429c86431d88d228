"""Ask an endpoint: requests, the client, streamed answers, a cache of answers."""
