/* SPDX-License-Identifier: Apache-2.0 */
/* The decoders of NFLOG and conntrack: whatever bytes come, only these are read. The packet in a message is a stranger's. */
#include <bulkhead/flows.h>

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	void *copy = malloc(size ? size : 1);	/* aligned, and with an end that is watched */
	struct bh_denied d;
	struct bh_flow f;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	if (bh_denied_decode(copy, size, &d) == 0)
		(void)bh_denied_class_means(d.class);
	(void)bh_flow_decode(copy, size, &f);
	/* the same behind a head that is believed */
	if (size >= sizeof(struct nlmsghdr) && size < UINT16_MAX) {
		struct nlmsghdr head = {.nlmsg_len = (uint32_t)size, .nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET};

		memcpy(copy, &head, sizeof(head));
		if (bh_denied_decode(copy, size, &d) == 0) {
			if (d.class >= BH_CLASS_MAX || !bh_denied_class_name(d.class))
				abort();
			(void)bh_denied_class_means(d.class);
		}
		head.nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW;
		memcpy(copy, &head, sizeof(head));
		(void)bh_flow_decode(copy, size, &f);
	}
	free(copy);
	return 0;
}
