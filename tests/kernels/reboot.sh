#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a machine of its own does at each boot; tests/kernels/test_reboot.py reads the lines RESULT. Step 0 begins, 1 is the reboot
# under bulkhead, 2 the one without, the control.
set -u
. /usr/share/guest/common.sh

case $step in
0)
	containers
	wait_for 60 enforcing
	wait_for 60 flowing
	report
	owned=$(bulkhead status --json | grep -c '"owned": *true')
	result "owned $owned"
	pid=$(systemctl show -p MainPID --value bulkheadd)
	systemctl kill -s KILL bulkheadd
	# an owner's tables outlive a flush while the daemon is dead
	[ "$owned" = 0 ] || nft flush ruleset
	result "left $(nft list tables | grep -c 'inet bulkhead')"
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
