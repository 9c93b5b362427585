#!/bin/sh
# Takes --x=N --y=N [--sleep=S], notes its start in $SWEEP_TEST_STARTS, and reports the loss x + y/10. $SWEEP_TEST_SLEEP overrides --sleep.
x=0 y=0 sleep=0
for argument; do
  case "$argument" in
    --x=*) x="${argument#--x=}" ;;
    --y=*) y="${argument#--y=}" ;;
    --sleep=*) sleep="${argument#--sleep=}" ;;
    *) echo "quick.sh: unknown argument $argument" >&2; exit 2 ;;
  esac
done
if [ -n "${SWEEP_TEST_STARTS:-}" ]; then printf '%s\n' "x=$x y=$y" >>"$SWEEP_TEST_STARTS"; fi
sleep "${SWEEP_TEST_SLEEP:-$sleep}"
printf '{"loss": %d.%d}\n' "$x" "$y"
