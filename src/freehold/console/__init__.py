"""The page an operator keeps open during a rollout. A local server, one page, no framework."""
