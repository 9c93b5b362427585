#!/bin/sh
# Takes --steps=N [--code=C]: N steps of a tenth of a second, metrics in its output and in $SWEEP_METRICS, then exit status C. Notes its start in
# $SWEEP_TEST_STARTS.
steps=20 code=0
for argument; do
  case "$argument" in
    --steps=*) steps="${argument#--steps=}" ;;
    --code=*) code="${argument#--code=}" ;;
  esac
done
if [ -n "${SWEEP_TEST_STARTS:-}" ]; then printf '%s\n' "$SWEEP_RUN/$SWEEP_ATTEMPT" >>"$SWEEP_TEST_STARTS"; fi
step=0
while [ "$step" -lt "$steps" ]; do
  step=$((step + 1))
  echo "{\"step\": $step, \"loss\": $((steps - step))}"
  echo "{\"step\": $step, \"seen\": $step}" >>"$SWEEP_METRICS"
  sleep 0.1
done
exit "$code"
