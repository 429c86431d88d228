"""How sure a candidate is: read from its answer, or foretold from the request by a learned router."""
