"""`python -m handmesh_ros.cli`."""

import sys

from handmesh_ros.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
