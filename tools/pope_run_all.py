"""POPE, as the SparseZip page types it: `focal sparsezip published pope_run_all`."""

import sys

from focal.commands.main import main

if __name__ == "__main__":
    main(["sparsezip", "published", "pope_run_all", *sys.argv[1:]])
