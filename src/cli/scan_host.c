/* SPDX-License-Identifier: Apache-2.0 */
/* The reading half of a scan: the runtime, links and addresses, others' rules, settings and sockets of this network namespace. */
#include "guard.h"
#include "scan.h"

#include <bulkhead/nft.h>
#include <bulkhead/runtime.h>
#include <bulkhead/tc.h>

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define TIMEOUT_MS 30000
#define PROC_MAX (16u << 20)

/* Whether a file of /proc/sys says something else than 0; one that is not there says 0. */
static bool setting(const char *family, const char *link, const char *name)
{
	_cleanup_buf_ struct bh_buf text = {0};
	char path[96];

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, link, name);
	return bh_buf_read_file(&text, path, 64) == 0 && text.s && text.s[0] != '0';
}

static int add_links(struct bh_scan_input *in)
{
	bh_vec_foreach(l, &in->host->links) {
		const struct bh_scan_link s = {
			.ifindex = l->ifindex,
			.forwards4 = setting("ipv4", l->name, "forwarding"),
			.forwards6 = setting("ipv6", l->name, "forwarding"),
		};

		if (bh_vec_push(&in->links, s) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int add_listeners(struct bh_scan_input *in)
{
	static const struct {
		const char *path;
		uint8_t proto;
	} tables[] = {{"/proc/net/tcp6", IPPROTO_TCP}, {"/proc/net/udp6", IPPROTO_UDP}};

	for (size_t i = 0; i < BH_ARRAY_SIZE(tables); i++) {
		_cleanup_buf_ struct bh_buf text = {0};
		int r = bh_buf_read_file(&text, tables[i].path, PROC_MAX);

		if (r == 0 && text.s)
			r = bh_scan_listeners(in, tables[i].proto, text.s);
		if (r < 0 && r != -ENOENT)	/* a kernel without IPv6 */
			return r;
	}
	return 0;
}

int bh_scan_host(const char *socket, struct bh_scan **ret, struct bh_error *err)
{
	_cleanup_(bh_inventory_freep) struct bh_inventory *inventory = NULL;
	_cleanup_(bh_foreign_freep) struct bh_foreign *foreign = NULL;
	_cleanup_(bh_host_freep) struct bh_host *host = NULL;
	_cleanup_(bh_tc_freep) struct bh_tc *tc = NULL;
	struct bh_scan_input in = {0};
	enum bh_doctor_guard guard = BH_GUARD_NONE;
	int r = bh_docker_look_once(socket, TIMEOUT_MS, &inventory, err);

	if (r == 0)
		r = bh_tc_new(&tc, err);
	if (r == 0)
		r = tc->ops->host(tc, &host, err);
	if (r == 0)
		r = bh_nft_foreign(&foreign, err);
	if (r == 0)
		r = bh_cli_guard(&guard, err);
	if (r == 0) {
		in.guarded = guard == BH_GUARD_ENFORCE;
		in.inventory = inventory;
		in.host = host;
		in.foreign = foreign;
		r = add_links(&in);
		if (r == 0)
			r = add_listeners(&in);
		if (r == 0)
			r = bh_scan(&in, ret);
		if (r < 0)
			bh_fail(err, r, "looking at this host: %s", strerror(-r));
	}
	bh_vec_clear(&in.links);
	bh_vec_clear(&in.listeners);
	return r;
}
