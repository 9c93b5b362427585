#!/bin/sh
# Says what it finds in its environment.
env | grep -E '^(SWEEP|WANDB|PYTHONUNBUFFERED|CUDA)' | sort
test -f "$SWEEP_CHECKPOINT_DIR/state" && echo "resumed from $(cat "$SWEEP_CHECKPOINT_DIR/state")"
cat "$SWEEP_PARAMS"
echo
echo '{"loss": 0.5}'
echo first >"$SWEEP_CHECKPOINT_DIR/state"
