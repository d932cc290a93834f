"""Draw the figures as SVG: `python -m tests.benchmarks.plots FIGURES FOLDER`, in the environment with matplotlib."""

import json
import sys
import textwrap
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

_COLOURS = {"refresh": "#1b6ca8", "polars": "#e08214", "duckdb": "#8073ac", "floor": "#bdbdbd"}
_NAMES = {
    "refresh": "refresh function",
    "polars": "polars, streaming",
    "duckdb": "DuckDB",
    "floor": "decoding alone (the floor)",
}


def draw_engines(figures: dict[str, Any], path: Path) -> None:
    """Draw wall time, processor time and memory of each engine on each dataset as bars."""
    datasets = figures["datasets"]
    labels = [_label(dataset, figures["rows"]) for dataset in datasets]
    panels = {"seconds": "wall time, s", "cpu": "processor time, s", "peak_mb": "peak memory, MB"}
    figure, axes = plt.subplots(1, 3, figsize=(14, 7), sharey=True)
    height = 0.8 / len(_NAMES)
    for axis, (field, title) in zip(axes, panels.items(), strict=True):
        for place, name in enumerate(_NAMES):
            positions = [number + (place - 1.5) * height for number in range(len(datasets))]
            values = [dataset["found"][name][field] for dataset in datasets]
            bars = axis.barh(positions, values, height, color=_COLOURS[name], label=_NAMES[name])
            axis.bar_label(bars, fmt="%.0f" if field == "peak_mb" else "%.2f", padding=2, fontsize=7)
        axis.set_title(title)
        axis.margins(x=0.12)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_yticks(range(len(datasets)), labels)
    axes[0].invert_yaxis()
    figure.suptitle(f"Counting {figures['rows']:,} voucher records from S3: less is better")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="upper center", ncols=4, bbox_to_anchor=(0.5, 0.95))
    _finish(figure, f"Medians of {figures['rounds']}, imports aside. {figures['measured on']}", path)


def _label(dataset: dict[str, Any], rows: int) -> str:
    objects = "one object" if dataset["objects"] == 1 else f"{dataset['objects']} objects"
    groups = "\none row group" if dataset["group_rows"] == rows else ""
    return f"{dataset['codec']}, {objects}\n{dataset['bytes'] / 1e6:.0f} MB{groups}"


def draw_growth(figures: dict[str, Any], path: Path) -> None:
    """Draw what a run takes by the objects that are counted already, a line for each number of countries."""
    panels = ("nothing new", "one more object", "publication", "listing")
    figure, axes = plt.subplots(1, len(panels), figsize=(14, 4.8))
    for axis, name in zip(axes, panels, strict=True):
        for countries in sorted({point["countries"] for point in figures["points"]}):
            points = [point for point in figures["points"] if point["countries"] == countries]
            axis.plot([p["objects"] for p in points], [p[name] for p in points], "o-", label=f"{countries}")
        axis.set_xscale("log")
        axis.set_ylim(bottom=0)
        axis.set_title(
            {"nothing new": "daily run, nothing new, listing aside", "listing": "listing by S3"}.get(name, name)
        )
        axis.set_xlabel("objects counted already")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("milliseconds")
    axes[0].legend(title="countries published")
    figure.suptitle("What a refresh takes as the ledger grows: less is better")
    _finish(figure, f"Medians of {figures['rounds']}. {figures['measured on']}", path)


def _finish(figure: Any, caption: str, path: Path) -> None:
    figure.text(0.01, 0.01, textwrap.fill(caption, 190), fontsize=8, color="#555555")
    figure.tight_layout(rect=(0, 0.05, 1, 0.93 if "engines" in path.name else 1))
    # Without a date, so that the same figures give the same file.
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    """Draw every plot."""
    figures, folder = Path(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    mpl.rcParams["svg.hashsalt"] = "voucher-segmenter"
    for name, draw in {"engines": draw_engines, "growth": draw_growth}.items():
        if (figures / f"{name}.json").exists():
            draw(json.loads((figures / f"{name}.json").read_text()), folder / f"{name}.svg")


if __name__ == "__main__":
    main()
