#!/bin/sh
# Crashes in the way that its first argument says.
case "$1" in
exit) echo 'ValueError: no good' >&2 && exit 3 ;;
signal) kill -SEGV $$ ;;
silent) exit 0 ;;
typo) echo '{"los": 0.5, "epoch": 1}' ;;
nan) echo '{"loss": NaN}' ;;
cuda)
    echo '{"loss": 0.5}'
    echo 'torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB' >&2
    exit 1
    ;;
esac
