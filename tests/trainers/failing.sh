#!/bin/sh
# Fails, with something to quote.
echo "reading the data"
echo "ValueError: no data at <home> & |pipes|" >&2
exit 1
