"""Trains the same thing again and again, each time without one part, and measures all alike.

Same start, steps, seed and validation images; ends with a Markdown table for docs/experiments.md.
Run again, it goes on where it stopped.

    python benchmarks/ablations.py out/ablations --photographs PHOTOS     # two CPU cores
    python benchmarks/ablations.py out/ablations --photographs PHOTOS --start "" --images 30000 \\
        --composites 15000 --size 256 --steps 6000 --limit 1000 \\
        --set data.workers=15 data.twins=true optimisation.batch_size=96 \\
        optimisation.frozen_stages=0 optimisation.precision=bf16-mixed   # a GPU

From the shipped weights (the default) it tells what a part is still worth to a trained network:
differences are small, and what is left out was seen before. `--start ""` begins with the trunk
alone, which takes a GPU.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.estimator import Estimator
from handmesh_ros.training.config import TrainingConfig
from handmesh_ros.training.data.composition.photographs import Split
from handmesh_ros.training.data.composition.prepare import compose, store_photographs
from handmesh_ros.training.data.shards import ShardDataset
from handmesh_ros.training.engine.stages import train_stages
from handmesh_ros.training.evaluation.evaluate import evaluate
from handmesh_ros.training.synthesis.generate import synthesize

ROOT = Path(__file__).resolve().parent.parent
START = ROOT / "weights" / "mobile.ckpt"
FIGURES = {"ap50": 3, "handedness": 3, "pck@0.2": 3, "pa_mpjpe_mm": 1}
"""Of `Metrics.summary`, those of the table, and their decimals."""

VALIDATION_SEED = 900001


@dataclass(frozen=True)
class Ablation:
    """One way to train.

    Attributes:
        name: for people.
        synthetic: what is left out of the synthetic images, as of `handmesh synthesize --without`.
        composites: whether hands cut out of photographs are pasted.
        photographs: whether whole photographs are seen.
        settings: of the configuration.
    """

    name: str
    synthetic: str = ""
    composites: bool = True
    photographs: bool = True
    settings: tuple[str, ...] = ()

    def overrides(self) -> tuple[str, ...]:
        """Return the settings that make the difference."""
        sources = [f"{{path: {synthetic_folder(self.synthetic)}, weight: 0.5}}"]
        if self.composites:
            sources.append("{path: composites, weight: 0.3}")
        if self.photographs:
            sources.append("{path: photographs, weight: 0.2}")
        return (f"data.train=[{', '.join(sources)}]", *self.settings)


ABLATIONS = (
    Ablation("everything"),
    Ablation("without real composites", composites=False),
    Ablation("without 2D-only supervision", composites=False, photographs=False),
    Ablation(
        "without the photometric stage's losses",
        settings=("losses.photometric=0", "losses.silhouette=0"),
    ),
    Ablation("without forearms", synthetic="forearms"),
    Ablation("without occluders", synthetic="occluders"),
)


def synthetic_folder(without: str) -> str:
    """Return the name of the synthetic images that lack something; "" for nothing."""
    return f"synthetic_without_{without}" if without else "synthetic"


def make_data(args: argparse.Namespace, data: Path) -> None:
    """Render and compose everything that is not there yet."""

    def missing(name: str) -> bool:
        return not (data / name / "complete").exists()

    def rendered(name: str, count: int, seed: int, without: tuple[str, ...] = ()) -> None:
        if missing(name):
            print(f"{name}: {count} images", flush=True)
            options = {"skins": args.skins, "backgrounds": args.backgrounds, "without": without}
            for _ in synthesize(data / name, count, seed, workers=args.workers, **options):
                pass
            (data / name / "complete").touch()

    rendered("synthetic_val", args.limit, VALIDATION_SEED)
    for without in ("", "forearms", "occluders"):
        rendered(synthetic_folder(without), args.images, 1, (without,) if without else ())
    sources, backgrounds = args.photographs, args.backgrounds
    splits: tuple[tuple[str, int, Split], ...] = (
        ("", args.composites, "train"),
        ("_val", args.limit, "val"),
    )
    for suffix, count, split in splits:
        name = f"photographs{suffix}"
        if missing(name):
            print(name, flush=True)
            store_photographs(data / name, sources, split)
            (data / name / "complete").touch()
        name = f"composites{suffix}"
        if missing(name):
            print(f"{name}: {count} images", flush=True)
            compose(
                data / name, count, seed=1, sources=sources, backgrounds=backgrounds, split=split,
                cache=args.cache or data / "cutouts", workers=args.workers,
            )  # fmt: skip
            (data / name / "complete").touch()


def measure(checkpoint: Path, data: Path, limit: int) -> dict[str, Any]:
    """Return the figures of a checkpoint on the validation sets by their names."""
    estimator = Estimator.from_file(checkpoint)
    names = ("synthetic", "composites", "photographs")
    return {
        name: evaluate(estimator, ShardDataset(data / f"{name}_val"), limit=limit)
        for name in names
    }


def format_ablations(results: dict[str, dict[str, Any]]) -> str:
    """Return the figures of all ways to train as one Markdown table.

    Args:
        results: by name of the ablation, then by validation set.
    """
    first = next(iter(results.values()))
    columns = [
        (name, figure)
        for name, figures in first.items()
        for figure in FIGURES
        if figures[figure] is not None
    ]
    titles = " | ".join(f"{name} {figure.removesuffix('_mm')}" for name, figure in columns)
    lines = [f"| trained | {titles} |", "|---" * (len(columns) + 1) + "|"]
    for name, figures in results.items():
        values = [(figures[data][figure], FIGURES[figure]) for data, figure in columns]
        cells = ["–" if value is None else f"{value:.{n}f}" for value, n in values]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Run everything; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("output", type=Path, help="folder for data, runs and ablations.md")
    parser.add_argument("--photographs", type=Path, nargs="+", required=True, metavar="DIR",
                        help="labelled photographs, as for `handmesh compose`")  # fmt: skip
    parser.add_argument("--skins", type=Path, help="skin textures; none: painted")
    parser.add_argument("--backgrounds", type=Path, nargs="+", default=[], metavar="DIR")
    parser.add_argument("--cache", type=Path, help="folder of cut-outs made before")
    parser.add_argument("--start", default=str(START), help='weights; "" for the trunk alone')
    parser.add_argument("--images", type=int, default=1000, help="rendered, three times over")
    parser.add_argument("--composites", type=int, default=500)
    parser.add_argument("--size", type=int, default=160, help="of the input, pixels")
    parser.add_argument("--steps", type=int, default=200, help="of each training")
    parser.add_argument("--limit", type=int, default=100, help="images of each validation set")
    parser.add_argument("--workers", type=int, default=2, help="processes that make data")
    parser.add_argument("--set", nargs="*", default=[], metavar="SECTION.FIELD=VALUE",
                        help="further settings of config/training/ablation.yaml")  # fmt: skip
    args = parser.parse_args()
    data, results = args.output / "data", {}
    try:
        make_data(args, data)
        for ablation in ABLATIONS:
            print(f"== {ablation.name}", flush=True)
            folder = args.output / ablation.name.replace(" ", "_").replace("'", "")
            measured = folder / "figures.json"
            if not measured.exists():
                settings = (
                    f"network.input_size={args.size}",
                    f"optimisation.steps={args.steps}",
                    f"start_from='{args.start}'",
                    "data.validation=[]",
                    f"data.backgrounds={[str(folder.resolve()) for folder in args.backgrounds]}",
                    *args.set,
                    *ablation.overrides(),
                )
                file = ROOT / "config" / "training" / "ablation.yaml"
                train_stages([TrainingConfig.load(file, settings)], data, [folder])
                figures = measure(folder / "last.ckpt", data, args.limit)
                measured.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
            results[ablation.name] = json.loads(measured.read_text(encoding="utf-8"))
    except HandmeshError as error:
        print(f"ablations: {error}", file=sys.stderr)
        return 1
    start = args.start and Path(args.start).name
    table = (
        f"{args.steps} steps at {args.size}² from {start or 'the trunk alone'}, {args.images} "
        f"rendered images, {args.composites} composites; {args.limit} images of each validation "
        f"set.\n\n{format_ablations(results)}\n"
    )
    (args.output / "ablations.md").write_text(table, encoding="utf-8")
    print(f"\n{table}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
