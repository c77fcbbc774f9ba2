"""`python -m cooee` is the `cooee` command."""

from cooee.cli import main

if __name__ == "__main__":
    main(prog_name="cooee")
