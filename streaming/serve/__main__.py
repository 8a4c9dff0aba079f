"""``python -m streaming.serve``: the same as ``mien serve``, where the command is not installed."""

import sys

from streaming.cli import run

if __name__ == "__main__":
    sys.exit(run(["serve", *sys.argv[1:]]))
