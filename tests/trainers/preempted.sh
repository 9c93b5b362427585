#!/bin/sh
# Turns SIGTERM into exit status 1, as torchrun and Lightning do, and notes each SIGUSR1 and SIGUSR2 that it gets. Notes its process in
# $SWEEP_TEST_PIDS, if that is set, and its start in $SWEEP_TEST_STARTS.
trap 'echo "SIGTERM: exiting"; exit 1' TERM
trap 'echo "$SWEEP_RUN USR1" >>"$SWEEP_TEST_STARTS.signals"' USR1
trap 'echo "$SWEEP_RUN USR2" >>"$SWEEP_TEST_STARTS.signals"' USR2
echo '{"loss": 0.9}'
printf '%s %s\n' "$SWEEP_RUN/$SWEEP_ATTEMPT" "$$" >>"$SWEEP_TEST_STARTS"
while :; do sleep 0.05; done
