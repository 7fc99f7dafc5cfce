#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The life of the Debian package on a machine of its own, in one boot; tests/kernels/test_package.py reads the lines RESULT.
set -u
. /usr/share/guest/common.sh

# How many forbidden and allowed datagrams arrive in five seconds.
look() {
	a=$(heard allowed)
	f=$(heard forbidden)
	sleep 5
	result "$1-allowed $(($(heard allowed) - a))"
	result "$1-forbidden $(($(heard forbidden) - f))"
}

auditing() {
	bulkhead status --json | grep -q '"state": *"auditing"'
}

main_pid() {
	systemctl show -p MainPID --value bulkheadd
}

containers
wait_for 60 flowing
look without

dpkg -i /usr/share/guest/first/bulkhead_*.deb
result "install $?"
wait_for 60 auditing
result "profile $(tr -d '\000' </proc/"$(main_pid)"/attr/current)"
result "modules $(ls -d /sys/module/br_netfilter | grep -c .)"
look audit

cp /usr/share/guest/enforce.yaml /etc/bulkhead/bulkhead.yaml
bulkhead reload
wait_for 60 enforcing
look enforce

pid=$(main_pid)
f=$(heard forbidden)
a=$(heard allowed)
dpkg -i /usr/share/guest/second/bulkhead_*.deb
result "upgrade $?"
wait_for 60 enforcing
sleep 2
result "upgrade-forbidden $(($(heard forbidden) - f))"
result "upgrade-allowed $(($(heard allowed) - a))"
result "restarted $([ "$pid" != "$(main_pid)" ] && echo 1)"
result "version $(dpkg-query -W -f '${Version}' bulkhead)"
result "config $(cmp /usr/share/guest/enforce.yaml /etc/bulkhead/bulkhead.yaml && echo kept)"
bulkhead status

dpkg -r bulkhead
result "remove $?"
result "tables $(nft list tables | grep -c bulkhead)"
result "kept $(ls /etc/bulkhead/bulkhead.yaml | grep -c .)"
look removed

dpkg -P bulkhead
result "purge $?"
result "left $(ls -d /etc/bulkhead /var/lib/bulkhead /etc/apparmor.d/usr.sbin.bulkheadd 2>/dev/null | grep -c .)"
result "denials $(journalctl -k --no-pager | grep -c 'apparmor="DENIED".*bulkheadd')"
journalctl -k --no-pager | grep 'apparmor="DENIED".*bulkheadd' | head -40
result "failed $(systemctl --failed --no-legend | grep -c .)"
sync
systemctl poweroff
