#!/bin/sh
# Would hang if its standard input were a terminal or an open pipe.
cat >/dev/null
echo '{"loss": 0.5}'
