"""The command ``python simulator/run.py``: the same as ``focal sim``."""

import sys

try:
    from focal.commands.sim import main
except ImportError as missing:
    sys.exit(f"error: {missing}; run 'pip install -e .' in the top folder of the repository first")

if __name__ == "__main__":
    sys.exit(main())
