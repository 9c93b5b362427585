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
  silence) printf '{"lost": %s}\n' "$x" ;;
esac
