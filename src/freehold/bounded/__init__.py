"""Work on strangers' words in a process of its own, which a limit of time or memory ends."""
