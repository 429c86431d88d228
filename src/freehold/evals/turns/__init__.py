"""What an assistant did next: calls, words or a refusal, and how the calls of two turns are compared."""
