"""A file of questions, as the SparseZip page types it: `focal sparsezip published evalkit`."""

import sys

from focal.commands.main import main

if __name__ == "__main__":
    main(["sparsezip", "published", "evalkit", *sys.argv[1:]])
