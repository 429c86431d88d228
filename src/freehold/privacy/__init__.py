"""Find personal data and secrets in text: by built-in patterns, by Presidio, by detect-secrets."""
