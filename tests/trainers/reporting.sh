#!/bin/sh
# Reports the loss x in the way that --way says.
for argument; do
  case "$argument" in
    --x=*) x="${argument#--x=}" ;;
    --way=*) way="${argument#--way=}" ;;
  esac
done
case "$way" in
  stdout) printf '{"loss": %s}\n' "$x" ;;
  file) printf '{"loss": %s}\n' "$x" >>"$SWEEP_METRICS" ;;
  pattern) printf 'epoch 1 of 1: loss=%s, 3 s\n' "$x" ;;
  environment) printf '{"loss": %s}\n' "$SWEEP_PARAM_X" ;;
  obstacles)
    # Nobody writes into the pipe, and what looks like a file of W&B's library is none.
    rm "$SWEEP_METRICS"
    mkfifo "$SWEEP_METRICS"
    mkdir -p "$SWEEP_RUN_DIR/wandb/offline-run-1/run-1.wandb"
    sleep 0.5
    printf '{"loss": %s}\n' "$x"
    ;;
  silence) printf '{"lost": %s}\n' "$x" ;;
esac
