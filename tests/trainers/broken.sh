#!/bin/sh
# Takes --x=N: loss N after a moment, except on a machine that is broken ($SWEEP_TEST_BROKEN), where it fails at once.
if [ -n "${SWEEP_TEST_BROKEN:-}" ]; then echo "device 3 does not answer" >&2; exit 1; fi
sleep 0.05
printf '{"loss": %s}\n' "${1#--x=}"
