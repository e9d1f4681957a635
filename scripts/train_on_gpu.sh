#!/usr/bin/env bash
# The shipped recipe on one GPU machine, from this repository and folders of pictures: data made
# there, training from the shipped weights (mobile_gpu.yaml, then stages 2 and 3), export, evaluation.
#
#   scripts/train_on_gpu.sh OUT
#
# Run it again to go on: finished data are kept, training resumes at its last checkpoint. What must
# be taken home lies in OUT/back after every call, below 20 MB: mobile.ckpt (weights), log.txt,
# losses.tar.gz, and at the end metrics.json and pictures.tar.gz.
#
# Half an hour of GPU in three calls of ten minutes, with `MINUTES=9 FIT=12` before each:
#   1  RENDER=4 ONLY=data    renders for four minutes, makes composites where PHOTOS is given
#   2                        measures, fits the steps of all stages into 12 minutes, trains
#   3                        trains to the end, exports, evaluates (about 2 minutes)
# Should the machine be lost between calls, carry mobile.ckpt back there and give it as START.
#
# Settings (environment):
#   PHOTOS       labelled photographs (images/ and labels.json in or below it); none: synthetic only
#   SKINS        skin textures for the renderer; none: painted skins
#   BACKGROUNDS  photographs without hands; none: drawn ones
#   DATA         where shards go (OUT/data)
#   IMAGES       synthetic images at most (60000); VALIDATION (500); COMPOSITES (20000)
#   RENDER       minutes after which no further part of the synthetic images is begun (no limit)
#   ONLY         "data" ends before training
#   START        weights to start from (those of the first stage's file: weights/mobile.ckpt)
#   FIT          minutes of training, all calls together, that the steps are fitted into
#   SCALE        or: factor on the steps of all stages (1)
#   MINUTES      of this call; training stops in time to collect what there is (no limit)
#   SETTINGS     further `--set` settings, such as "data.workers=2 optimisation.batch_size=4"
#   PYTHON       interpreter with the extra [train] (python3)
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# = 1 ] || { sed -n '2,30s/^# \{0,1\}//p' "$0"; exit 2; }
out=$1
data=${DATA:-$out/data} back=$out/back python=${PYTHON:-python3}
part=10000 # images with one seed
stages=(mobile_gpu mobile_2_texture mobile_3_colours)
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
mkdir -p "$data" "$back"
exec > >(tee -a "$back/log.txt") 2>&1
handmesh() { "$python" -m handmesh_ros.cli.main "$@"; }
say() { echo "== $* ($(date +%T))"; }

once() {  # NAME COMMAND…: run unless it was completed before
  [ -e "$data/.$1.done" ] && return
  say "$1"
  "${@:2}"
  touch "$data/.$1.done"
}

folders=() # where backgrounds lie, for the commands that make data
[ -z "${BACKGROUNDS:-}" ] || folders=(--backgrounds "$BACKGROUNDS")
synthesize() {  # FOLDER COUNT SEED
  handmesh synthesize "$data/$1" --count "$2" --seed "$3" ${SKINS:+--skins "$SKINS"} "${folders[@]}"
}

validation="{path: synth_val}"
sources="{path: synth_train, weight: 0.5}" spectra=""
once synth_val synthesize synth_val "${VALIDATION:-500}" 900001
images=${IMAGES:-60000}
for ((seed = 1; (seed - 1) * part < images; seed++)); do
  ((seed == 1 || SECONDS < 60 * ${RENDER:-10000})) || break
  left=$((images - (seed - 1) * part))
  once "synth_train_$seed" synthesize synth_train $((left < part ? left : part)) $seed
done
if [ -n "${PHOTOS:-}" ]; then
  compose() { handmesh compose "$data/$1" --sources "$PHOTOS" "${@:2}"; }
  once photo_train compose photo_train --whole
  once photo_val compose photo_val --whole --split val
  once composite_train compose composite_train --seed 1 --count "${COMPOSITES:-20000}" \
    --cache "$data/cutouts" "${folders[@]}"
fi
if [ -e "$data/.composite_train.done" ]; then
  sources+=", {path: composite_train, weight: 0.3}, {path: photo_train, weight: 0.2}"
  validation+=", {path: photo_val}"
  spectra=photo_train
fi
[ "${ONLY:-}" != data ] || exit 0

machine=$(sed -n 's/^  \(precision\): /optimisation.\1=/p; s/^  \(batch_size\): /optimisation.\1=/p
  s/^  \(frozen_stages\): /optimisation.\1=/p; s/^  \(workers\): /data.\1=/p
  s/^  \(twins\): /data.\1=/p' config/training/mobile_gpu.yaml)
settings=($machine network.input_size=256 "data.train=[$sources]" "data.validation=[$validation]"
  "data.spectra='$spectra'" "data.backgrounds=[${BACKGROUNDS:+'$(realpath "${BACKGROUNDS:-.}")'}]"
  ${START:+"start_from='$START'"} ${SETTINGS:-})

if [ ! -e "$out/scale" ]; then
  scale=${SCALE:-1}
  if [ -n "${FIT:-}" ]; then
    say "speed"
    handmesh train config/training/mobile_gpu.yaml --data "$data" --throughput \
      --set "${settings[@]}" | tee "$out/speed.md"
    # The first stage is nearly all; a quarter more for what the measurement leaves out.
    scale=$(awk -v fit="$FIT" '/steps take/ { print fit / (1.25 * $4) }' "$out/speed.md")
  fi
  echo "$scale" > "$out/scale"
fi
files=()
mkdir -p "$out/stages"
for stage in "${stages[@]}"; do
  files+=("$out/stages/$stage.yaml")
  awk -v scale="$(cat "$out/scale")" '
    /^  (steps|warmup_steps):/ { $2 = int($2 * scale) > 1 ? int($2 * scale) : 1; print "  " $0; next }
    { print }' "config/training/$stage.yaml" > "$out/stages/$stage.yaml"
done

limit=()
[ -z "${MINUTES:-}" ] ||
  limit=(--max-minutes "$(awk -v m="$MINUTES" -v s="$SECONDS" 'BEGIN { print m - (s + 40) / 60 }')")
say "training, steps × $(cat "$out/scale")"
handmesh train "${files[@]}" --data "$data" --output "$out/run" --no-export "${limit[@]}" \
  --set "${settings[@]}" | tee "$out/training.txt"

newest=""
for stage in "${stages[@]}"; do
  [ ! -e "$out/run/$stage/last.ckpt" ] || newest=$out/run/$stage/last.ckpt
done
[ -n "$newest" ] || { echo "No checkpoint yet: call it again with more MINUTES."; exit 0; }
say "collecting $newest"
handmesh export "$newest" "$back/mobile.ckpt"
tar -czf "$back/losses.tar.gz" -C "$out/run" --exclude='*.ckpt' --exclude=tensorboard .
grep -q "Done: " "$out/training.txt" || exit 0

say "export and evaluation"
handmesh export "$newest" "$out/mobile.onnx"
measured=("$data/synth_val")
[ ! -e "$data/.photo_val.done" ] || measured+=("$data/photo_val")
handmesh evaluate "${measured[@]}" --model "$out/mobile.onnx" --json "$back/metrics.json"
rm -rf "$out/pictures"
mkdir -p "$out/pictures/given"
for folder in "${measured[@]}"; do
  shards=("$folder"/*.tar)
  mapfile -t names < <(tar -tf "${shards[0]}" | grep 'jpg$' | head -n 12)
  tar -xf "${shards[0]}" -C "$out/pictures/given" "${names[@]}"
done
handmesh detect "$out/pictures/given" --model "$out/mobile.onnx" --draw "$out/pictures/drawn"
tar -czf "$back/pictures.tar.gz" -C "$out/pictures" drawn
say "complete: take $back home"
