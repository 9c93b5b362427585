#!/bin/sh
# Ignores SIGTERM and hangs, with children that do the same: one in its group, one in a session of its own, one whose parent is gone.
trap '' TERM INT
sh -c "trap '' TERM INT; while :; do sleep 1000; done" stubborn-child &
setsid sh -c "trap '' TERM INT; while :; do sleep 1000; done" stubborn-session &
sh -c "setsid sh -c \"trap '' TERM INT; while :; do sleep 1000; done\" stubborn-orphan &"
printf '{"loss": 1}\n'
printf 'started\n' >>"$SWEEP_TEST_STARTS"
while :; do sleep 1000; done
