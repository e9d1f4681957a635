"""`python -m handmesh_ros.training.synthesis`: the same as `handmesh synthesize`."""

import argparse
import sys

from handmesh_ros.errors import HandmeshError
from handmesh_ros.training.synthesis.generate import add_arguments, run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="handmesh synthesize", description=__doc__)
    add_arguments(parser)
    try:
        sys.exit(run(parser.parse_args()))
    except HandmeshError as error:
        sys.exit(f"handmesh: {error}")
