#!/bin/sh
# Gives its metrics in all three ways: JSON lines, plain lines for a pattern, and the file that SWEEP_METRICS names.
echo '{"step": 1, "from_json": 1.5}'
echo 'epoch 2: from_pattern=2.5'
echo '{"step": 3, "from_file": 3.5, "loss": 0.25}' >>"$SWEEP_METRICS"
