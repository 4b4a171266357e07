#!/bin/bash
# Shuts this machine down once Ray has not run on it for an hour, or after so many hours in any case: ends.sh HOURS.
# Started on the machine itself, outside the container, so that nothing goes on costing money when the head is gone
# without `ray down`. Idle workers are ended long before by Ray's autoscaler.
hours=${1:?hours that this machine may live}
raylet=${2:-raylet}
last=$SECONDS
while [ "$SECONDS" -lt $((hours * 3600)) ] && [ $((SECONDS - last)) -lt "${IDLE:-3600}" ]; do
    if grep -qsx "$raylet" /proc/[0-9]*/comm; then last=$SECONDS; fi
    sleep "${EVERY:-30}"
done
"${SHUTDOWN:-/sbin/shutdown}" -h now
