"""The command ``python simulator/run.py``: ``focal sim`` that also writes the tables of the published artifact."""

import sys

try:
    from focal.commands.sim import main
except ImportError as missing:
    sys.exit(f"error: {missing}; run 'pip install -e .' in the top folder of the repository first")

if __name__ == "__main__":
    sys.exit(main(published_layout=True))
