"""`python -m etude`: the same as the command `etude`."""

from etude.cli import main

if __name__ == "__main__":
    main()
