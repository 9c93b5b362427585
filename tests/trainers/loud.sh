#!/bin/sh
# Prints 16 MiB, part of it as one line without an end, and its objective in between.
head -c 8388608 /dev/zero | tr '\0' 'x'
printf '\n{"loss": 0.5}\n'
head -c 8388608 /dev/zero | tr '\0' 'a\n'
echo 'the end'
