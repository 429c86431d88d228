"""Move the traffic: the gateway, routes, keys, and who watches them."""
