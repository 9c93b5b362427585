#!/bin/sh
# Leaves children behind in every way there is: one that ignores SIGTERM, one in a session of its own, one whose parent is gone as well.
# With "stay" as its first argument it also stays itself, and ignores SIGTERM.
trap '' TERM
sh -c 'trap "" TERM; while :; do sleep 1; done' &
echo $! >>"$SWEEP_RUN_DIR/children"
if command -v setsid >/dev/null; then
    setsid sh -c 'trap "" TERM; while :; do sleep 1; done' &
    echo $! >>"$SWEEP_RUN_DIR/children"
    (setsid sh -c 'trap "" TERM; (while :; do sleep 1; done) & exit 0' &)
fi
echo '{"loss": 0.5}'
if [ "$1" = stay ]; then
    while :; do sleep 1; done
fi
