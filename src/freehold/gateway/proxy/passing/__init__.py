"""What nothing here answers, passed on to the incumbent."""
