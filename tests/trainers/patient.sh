#!/bin/sh
# Trains until it is told to stop, and then saves its work.
trap 'echo saved >"$SWEEP_CHECKPOINT_DIR/state"; echo "{\"loss\": 0.1}"; exit 0' TERM
echo '{"loss": 0.9}'
while :; do sleep 0.1; done
