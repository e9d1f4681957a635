#!/usr/bin/env bash
# Training on one GPU machine, from nothing but this repository and folders of pictures.
#
#   scripts/train_on_gpu.sh OUT            everything: data, training, export, evaluation
#
# Interrupted or run again it goes on: data that are complete are kept, training resumes from
# OUT/run/last.ckpt. Settings (environment):
#   PHOTOS       labelled photographs (images/ and labels.json in or below it); none: synthetic only
#   SKINS        skin textures for the renderer; none: painted skins
#   BACKGROUNDS  photographs without hands; none: drawn ones
#   DATA         where shards go (default OUT/data)
#   CONFIG       training configuration (default config/training/mobile_gpu.yaml)
#   IMAGES       synthetic images to render (default 60000); COMPOSITES (default 20000)
#   STEPS        optimiser steps of the whole run (default: the configuration's)
#   MINUTES      stop training after this long, to go on with the next call (default: no limit)
#   START        checkpoint whose weights the run starts from
#   PYTHON       interpreter with the extra [train] (default python3)
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# = 1 ] || { sed -n '2,18s/^# \{0,1\}//p' "$0"; exit 2; }
out=$1
data=${DATA:-$out/data}
python=${PYTHON:-python3}
config=${CONFIG:-config/training/mobile_gpu.yaml}
handmesh() { "$python" -m handmesh_ros.cli "$@"; }
skins=() ; backgrounds=()
[ -z "${SKINS:-}" ] || skins=(--skins "$SKINS")
[ -z "${BACKGROUNDS:-}" ] || backgrounds=(--backgrounds "$BACKGROUNDS")
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1
mkdir -p "$out" "$data"

make_once() {  # FOLDER COMMAND…: run unless it was completed before
  [ -e "$data/$1/.complete" ] && return
  rm -rf "${data:?}/$1"
  echo "== $1 ($(date +%T))"
  "${@:2}" && touch "$data/$1/.complete"
}

make_once synth_val handmesh synthesize "$data/synth_val" --count 1000 --seed 900001 \
  "${skins[@]}" "${backgrounds[@]}"
make_once synth_train handmesh synthesize "$data/synth_train" --count "${IMAGES:-60000}" --seed 1 \
  "${skins[@]}" "${backgrounds[@]}"
validation=("$data/synth_val")
sources="{path: synth_train, weight: 0.6}"
spectra=""
if [ -n "${PHOTOS:-}" ]; then
  make_once photo_train handmesh compose "$data/photo_train" --sources "$PHOTOS" --whole
  make_once photo_val handmesh compose "$data/photo_val" --sources "$PHOTOS" --whole --split val
  make_once composite_train handmesh compose "$data/composite_train" --sources "$PHOTOS" --seed 1 \
    --count "${COMPOSITES:-20000}" --cache "$data/cutouts" "${backgrounds[@]}"
  sources+=", {path: composite_train, weight: 0.2}, {path: photo_train, weight: 0.2}"
  validation+=("$data/photo_val")
  spectra=photo_train
fi

settings=("data.train=[$sources]" "data.spectra='$spectra'")
if [ -n "${BACKGROUNDS:-}" ]; then
  settings+=("data.backgrounds=['$(realpath "$BACKGROUNDS")']")
fi
[ -z "${STEPS:-}" ] || settings+=("optimisation.steps=$STEPS")
[ -z "${START:-}" ] || settings+=("start_from='$START'")
limit=()
[ -z "${MINUTES:-}" ] || limit=(--max-minutes "$MINUTES")
echo "== training ($(date +%T))"
handmesh train "$config" --data "$data" --output "$out/run" "${limit[@]}" --set "${settings[@]}"

echo "== export and evaluation ($(date +%T))"
handmesh export "$out/run/last.ckpt" "$out/mobile.onnx"
handmesh evaluate "${validation[@]}" --model "$out/mobile.onnx" --json "$out/metrics.json" \
  | tee "$out/metrics.md"
