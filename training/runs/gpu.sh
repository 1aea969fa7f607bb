#!/usr/bin/env bash
# The stages up to the training on one GPU, in bf16, over about ten times the texts; then export.
#   training/runs/gpu.sh [DATA] [RUN]
# Stops by itself after LIMIT seconds (540) with a checkpoint at most five minutes old: call it again until it says
# `complete`. With OUT set, the artifact is left there in parts of at most 15 MB (join: cat model.onnx.* > model.onnx).
set -euo pipefail
cd "$(dirname "$0")/../.."
data=${1:-../shared/data}
run=${2:-runs/gpu}
python=${PYTHON:-python}

export UNTIL=training
export ALIGN=${ALIGN:---max-tokens 48 --per-source 40000 --batch 256 --epochs 4 --lr 2e-4}
export REHEARSE=${REHEARSE:---per-source 40000 --batch 256 --lr 2e-4}
export TRAIN=${TRAIN:---batch 128 --batch-tokens 16384 --epochs 8 --lr 1.5e-4}
status=0
timeout --signal=INT "${LIMIT:-540}" training/runs/release.sh "$data" "$run" || status=$?
if [ "$status" -eq 124 ]; then
    echo "stopped after ${LIMIT:-540} s: call again to go on"
    exit 0
fi
[ "$status" -eq 0 ] || exit "$status"

"$python" -m training.export --model "$run/mean" --name guard-minilm-zh-en --sources "$data/SOURCES.tsv" --output "$run/artifact"
if [ -n "${OUT:-}" ]; then
    split --bytes=15000000 --numeric-suffixes "$run/artifact/model.onnx" "$OUT/model.onnx."
    cp "$run/artifact/artifact.json" "$run/artifact/tokenizer.json" "$run/mean/mixture.json" "$OUT/"
fi
echo complete
