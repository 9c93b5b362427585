#!/bin/sh
# Trains well: prints its objective as JSON lines, with a progress bar around them.
for step in 1 2 3; do
    printf 'working %s/3\r' "$step"
    printf '{"step": %s, "loss": 0.%s, "ok": true}\n' "$step" "$((9 - step))"
done
echo "arguments: $*"
