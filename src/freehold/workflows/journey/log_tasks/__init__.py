"""Which tasks are in a log, what each costs, and in which order to move them."""
