"""`python -m freehold` is the same as the `freehold` command."""

from freehold.cli.main import main

if __name__ == "__main__":
    main()
