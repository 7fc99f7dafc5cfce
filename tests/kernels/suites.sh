#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a machine of its own runs for tests/kernels/test_suites.py: each program of the list, its TAP on the console.
exec >/dev/ttyS0 2>&1
stty -F /dev/ttyS0 -onlcr
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH PYTHONDONTWRITEBYTECODE=1 BH_BUILD=/build CMOCKA_MESSAGE_OUTPUT=TAP
modprobe br_netfilter
echo "RESULT 0 kernel $(uname -r)"
while read -r seconds program; do
	echo "BEGIN $program"
	timeout "$seconds" "$program"
	echo "END $program $?"
done </usr/share/guest/suites
sync
systemctl poweroff
