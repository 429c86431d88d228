"""Ways in for coding agents: a server of the Model Context Protocol, and a skill. Both stand on `freehold.api`."""
