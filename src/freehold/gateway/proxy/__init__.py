"""One request's way: route, translate, ask, relay, guard, mirror."""
