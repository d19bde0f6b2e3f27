"""The console script. `provision --help` answers from a text, in a tenth of the time.

Drawing the help means importing typer and rich, ten times what Python itself takes to start.
tests/cli/test_help.py keeps `help.txt` equal to what typer would say:

    python -m provisioner.cli.app --help >provisioner/cli/help.txt
"""

import os.path
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.argv[1:] in ([], ["--help"], ["-h"]):
        with open(os.path.join(os.path.dirname(__file__), "help.txt"), encoding="utf-8") as file:  # noqa: PTH118, PTH120, PTH123 - pathlib alone would double the time
            sys.stdout.write(file.read())
        sys.exit(0)
    try:
        from provisioner.cli.app import app

        app(prog_name="provision")
    except KeyboardInterrupt:  # before any verb had begun
        sys.exit(130)
