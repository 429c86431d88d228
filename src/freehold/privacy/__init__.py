"""Find personal data and secrets in text: by patterns of our own, by Presidio, by detect-secrets."""
