"""`handmesh train`: stages of training one after another, then export and evaluation."""

from __future__ import annotations

import argparse
from pathlib import Path

from handmesh_ros.common.arguments import count, number
from handmesh_ros.common.imports import plain_errors
from handmesh_ros.errors import HandmeshError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument(
        "config",
        type=Path,
        nargs="+",
        help="YAML files of the stages in order, such as config/training/mobile_1_pose.yaml",
    )
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of shard folders")
    parser.add_argument(
        "--output",
        type=Path,
        help="folder of the run, with a folder for each of several stages (default: runs/NAME)",
    )
    parser.add_argument(
        "--devices", type=_devices, default="auto", help="processes per machine, or auto"
    )
    parser.add_argument("--nodes", type=count(), default=1, help="machines")
    parser.add_argument("--max-steps", type=count(), help="stop a stage after this many steps")
    parser.add_argument("--max-minutes", type=number(0), help="stop after this long")
    parser.add_argument(
        "--no-export", action="store_true", help="end without exporting and evaluating"
    )
    parser.add_argument(
        "--throughput", action="store_true", help="measure images/s of the parts, do not train"
    )
    parser.add_argument(
        "--set",
        action="extend",
        nargs="*",
        default=[],
        metavar="SECTION.FIELD=VALUE",
        help="change settings, of all stages",
    )


def _devices(text: str) -> str:
    return text if text == "auto" else str(count()(text))


def run(args: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    with plain_errors():
        from lightning.pytorch.utilities.rank_zero import rank_zero_only

        from handmesh_ros.training.config import TrainingConfig
        from handmesh_ros.training.engine.stages import export_and_evaluate, train_stages
        from handmesh_ros.training.engine.throughput import (
            format_throughput,
            minutes_of,
            throughput,
        )
        from handmesh_ros.training.engine.train import check_data

    configs = [TrainingConfig.load(path, tuple(args.set)) for path in args.config]
    names = [config.name for config in configs]
    if len(set(names)) < len(names):
        raise HandmeshError(
            f"Two stages have the same name ({', '.join(names)}): each needs a folder of its own."
        )
    for config in configs:
        check_data(config, args.data)
    if args.throughput:
        for config in configs:
            rates = throughput(config, args.data)
            print(f"{config.name}\n\n{format_throughput(rates, config.data.workers)}")
            steps, minutes = config.optimisation.steps, minutes_of(config, rates)
            print(f"{steps} steps take {minutes:.2f} minutes.")
        return 0
    if len(configs) == 1:
        outputs = [args.output or Path("runs") / names[0]]
    else:
        outputs = [(args.output or Path("runs")) / name for name in names]
    complete = train_stages(
        configs,
        args.data,
        outputs,
        devices=args.devices,
        nodes=args.nodes,
        max_steps=args.max_steps,
        max_minutes=args.max_minutes,
    )
    if getattr(rank_zero_only, "rank", 0):  # one process of several speaks for all
        return 0
    if not complete:
        print("Stopped before the end: run the same command again to go on.")
    elif args.no_export:
        print(f"Done: {outputs[-1] / 'last.ckpt'}")
    else:
        print(f"Done: {export_and_evaluate(configs[-1], args.data, outputs[-1])}")
    return 0
