"""``python -m anfl``."""

from anfl.cli.main import main

main()
