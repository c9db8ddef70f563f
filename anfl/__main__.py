"""The program ``anfl``, also as ``python -m anfl``."""

from anfl.interruption import end_at_once


def main() -> None:
    """Run the command line."""
    end_at_once()
    from anfl.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
