#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a machine of its own does at each boot; tests/kernels/test_reboot.py reads the lines RESULT. Step 0 begins, 1 is the reboot
# under bulkhead, 2 the one without, the control.
set -u
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
state=/var/lib/guest
step=$(cat $state/step 2>/dev/null || echo 0)
exec >/dev/ttyS0 2>&1

result() {
	echo "RESULT $step $*"
}

# Seconds of patience, then a command that must succeed in them.
wait_for() {
	n=$1
	shift
	until "$@" >/dev/null 2>&1; do
		n=$((n - 1))
		[ $n -gt 0 ] || {
			result "timeout $*"
			systemctl --failed --no-legend
			journalctl -b -u docker -u bulkheadd --no-pager | tail -60
			return 1
		}
		sleep 1
	done
}

# How many datagrams with MARKER the receiver has heard since this boot.
heard() {
	docker logs db 2>/dev/null | awk -v marker="$1" -v since="$boot" '$1 >= since && $5 == marker { n++ } END { print n + 0 }'
}

flowing() {
	[ "$(heard allowed)" -gt 20 ]
}

report() {
	result "allowed $(heard allowed)"
	result "forbidden $(heard forbidden)"
	result "running $(docker ps -q | wc -l)"
	result "failed $(systemctl --failed --no-legend | grep -c .)"
	systemctl --failed --no-legend
}

enforcing() {
	bulkhead status --json | grep -q '"state": *"enforcing"'
}

boot=$((($(date +%s) - $(cut -d. -f1 /proc/uptime)) * 1000000))
result "kernel $(uname -r)"
wait_for 120 docker version

case $step in
0)
	docker import /usr/share/guest/image.tar lab >/dev/null
	docker network create --ipv6 --subnet 172.30.0.0/24 --subnet fd00:30::/64 front >/dev/null
	run="docker run -d --restart always --network front"
	$run --name db --label tier=db --ip 172.30.0.10 --ip6 fd00:30::10 lab /bin/probe recv 5432 >/dev/null
	$run --name api --label tier=api lab /bin/firstpkt udp 172.30.0.10 5432 allowed 1000000 20000 >/dev/null
	$run --name web --label tier=web lab /bin/firstpkt udp 172.30.0.10 5432 forbidden 1000000 20000 >/dev/null
	$run --name web6 --label tier=web lab /bin/firstpkt udp fd00:30::10 5432 forbidden 1000000 20000 >/dev/null
	wait_for 60 enforcing
	wait_for 60 flowing
	report
	result "owned $(bulkhead status --json | grep -c '"owned": *true')"
	pid=$(systemctl show -p MainPID --value bulkheadd)
	systemctl kill -s KILL bulkheadd
	wait_for 60 sh -c "[ \$(systemctl show -p MainPID --value bulkheadd) -gt 0 ] && [ \$(systemctl show -p MainPID --value bulkheadd) != $pid ]"
	wait_for 60 enforcing
	result "restarts $(systemctl show -p NRestarts --value bulkheadd)"
	result "kept $(systemctl show -p NFileDescriptorStore --value bulkheadd)"
	systemctl reload bulkheadd && result "reload 0"
	result "denials $(journalctl -u bulkheadd -o json BULKHEAD_CLASS=policy 2>/dev/null | grep -c .)"
	report
	bulkhead status
	;;
1)
	wait_for 120 enforcing
	wait_for 60 flowing
	sleep 10
	report
	bulkhead status
	systemctl disable bulkheadd
	systemctl stop bulkheadd
	bulkheadd --teardown
	result "tables $(nft list tables | grep -c bulkhead)"
	;;
2)
	wait_for 60 flowing
	report
	;;
esac
echo $((step + 1)) > $state/step
sync
if [ "$step" = 2 ]; then
	systemctl poweroff
else
	systemctl reboot
fi
