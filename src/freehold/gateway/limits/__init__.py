"""Keys, rates, concurrency and spend: what a request may use."""
