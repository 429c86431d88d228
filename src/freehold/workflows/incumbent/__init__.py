"""What is rented today: where the code uses it, until when, at what price."""
