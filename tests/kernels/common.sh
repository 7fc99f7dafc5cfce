# SPDX-License-Identifier: Apache-2.0
# What the scripts of the machines share; they are read by their tests through the lines RESULT.
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

# Four containers: api may send to db, web and web6 may not.
containers() {
	docker import /usr/share/guest/image.tar lab >/dev/null
	docker network create --ipv6 --subnet 172.30.0.0/24 --subnet fd00:30::/64 front >/dev/null
	run="docker run -d --restart always --network front"
	$run --name db --label tier=db --ip 172.30.0.10 --ip6 fd00:30::10 lab /bin/probe recv 5432 >/dev/null
	$run --name api --label tier=api lab /bin/firstpkt udp 172.30.0.10 5432 allowed 1000000 20000 >/dev/null
	$run --name web --label tier=web lab /bin/firstpkt udp 172.30.0.10 5432 forbidden 1000000 20000 >/dev/null
	$run --name web6 --label tier=web lab /bin/firstpkt udp fd00:30::10 5432 forbidden 1000000 20000 >/dev/null
}

boot=$((($(date +%s) - $(cut -d. -f1 /proc/uptime)) * 1000000))
result "kernel $(uname -r)"
wait_for 120 docker version
