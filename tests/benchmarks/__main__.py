"""Every benchmark of the refresh in one run: `python -m tests.benchmarks [--rows ROWS] [--plots FOLDER]`."""

import argparse
from pathlib import Path

from tests.benchmarks import coldstart, engines, growth, memory, sizing
from tests.benchmarks.measuring import FOLDER, plot, surroundings


def main() -> None:
    """Measure, print the tables, save the figures and draw the plots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=engines.ROWS, help="of the largest objects")
    parser.add_argument("--plots", type=Path, default=FOLDER, help="where the plots go")
    arguments = parser.parse_args()
    print(surroundings())
    engines.main(arguments.rows)
    memory.main(arguments.rows, arguments.rows // 10)
    growth.main()
    coldstart.main()
    sizing.main(arguments.rows)
    plot(arguments.plots.absolute())
    print(f"\nFigures and plots: {FOLDER}, {arguments.plots}")


if __name__ == "__main__":
    main()
