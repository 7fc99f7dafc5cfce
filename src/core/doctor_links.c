/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of links, as the kernel puts them together with those of "all" (include/linux/inetdevice.h, ip-sysctl). "default" is what the
 * next link starts with, and is judged as one. */
#include "doctor_priv.h"

#include <errno.h>
#include <string.h>

const char *bh_link_knob_path(enum bh_link_knob k, const char **ret_name)
{
	static const struct {
		bool v6;
		const char *name;
	} knobs[BH_LINK_KNOB_MAX] = {
		[BH_LINK_RP_FILTER] = {false, "rp_filter"}, [BH_LINK_REDIRECTS4] = {false, "accept_redirects"},
		[BH_LINK_SEND_REDIRECTS] = {false, "send_redirects"}, [BH_LINK_SOURCE_ROUTE4] = {false, "accept_source_route"},
		[BH_LINK_ROUTE_LOCALNET] = {false, "route_localnet"}, [BH_LINK_FORWARDING4] = {false, "forwarding"},
		[BH_LINK_REDIRECTS6] = {true, "accept_redirects"}, [BH_LINK_SOURCE_ROUTE6] = {true, "accept_source_route"},
		[BH_LINK_ACCEPT_RA] = {true, "accept_ra"}, [BH_LINK_FORWARDING6] = {true, "forwarding"},
	};

	*ret_name = knobs[k].name;
	return knobs[k].v6 ? "/proc/sys/net/ipv6/conf" : "/proc/sys/net/ipv4/conf";
}

/* What is not there, IPv6 for example, is off. */
static long value(const struct bh_doctor_link *l, enum bh_link_knob k)
{
	return l && l->v[k].err == 0 ? l->v[k].n : 0;
}

typedef bool (*bad_fn)(const struct bh_doctor_link *all, const struct bh_doctor_link *l);

static bool no_rp_filter(const struct bh_doctor_link *all, const struct bh_doctor_link *l)
{
	return value(all, BH_LINK_RP_FILTER) == 0 && value(l, BH_LINK_RP_FILTER) == 0;
}

static bool takes_ra(const struct bh_doctor_link *all, const struct bh_doctor_link *l)
{
	const long v = value(l, BH_LINK_ACCEPT_RA);

	(void)all;
	return l->containers && (v == 2 || (v == 1 && value(l, BH_LINK_FORWARDING6) == 0));
}

static bool takes_redirects(const struct bh_doctor_link *all, const struct bh_doctor_link *l)
{
	const bool a = value(all, BH_LINK_REDIRECTS4), own = value(l, BH_LINK_REDIRECTS4);

	return (value(l, BH_LINK_FORWARDING4) ? a && own : a || own) || (value(l, BH_LINK_REDIRECTS6) && !value(l, BH_LINK_FORWARDING6));
}

static bool sends_redirects(const struct bh_doctor_link *all, const struct bh_doctor_link *l)
{
	return value(l, BH_LINK_FORWARDING4) && (value(all, BH_LINK_SEND_REDIRECTS) || value(l, BH_LINK_SEND_REDIRECTS));
}

static bool takes_source_routes(const struct bh_doctor_link *all, const struct bh_doctor_link *l)
{
	return (value(all, BH_LINK_SOURCE_ROUTE4) && value(l, BH_LINK_SOURCE_ROUTE4)) || (value(all, BH_LINK_SOURCE_ROUTE6) > 0 && value(l, BH_LINK_SOURCE_ROUTE6) > 0);
}

static bool routes_localnet(const struct bh_doctor_link *all, const struct bh_doctor_link *l)
{
	return value(all, BH_LINK_ROUTE_LOCALNET) || value(l, BH_LINK_ROUTE_LOCALNET);
}

void doctor_links(struct doctor *d)
{
	static const struct {
		enum bh_check check;
		bad_fn is_bad;
		enum bh_result bad;
		const char *what;
	} checks[] = {
		{BH_CHECK_RP_FILTER, no_rp_filter, BH_RESULT_WARN, "no check of sources on"},
		{BH_CHECK_ACCEPT_RA, takes_ra, BH_RESULT_FAIL, "router advertisements are taken from"},
		{BH_CHECK_ACCEPT_REDIRECTS, takes_redirects, BH_RESULT_WARN, "ICMP redirects are taken from"},
		{BH_CHECK_SEND_REDIRECTS, sends_redirects, BH_RESULT_WARN, "ICMP redirects are sent to"},
		{BH_CHECK_SOURCE_ROUTE, takes_source_routes, BH_RESULT_FAIL, "source routes are taken from"},
		{BH_CHECK_ROUTE_LOCALNET, routes_localnet, BH_RESULT_FAIL, "127.0.0.1 is reached from"},
	};
	const struct bh_doctor_link *all = NULL;

	bh_vec_foreach(l, &d->f->links)
		if (strcmp(l->name, "all") == 0)
			all = l;
	for (size_t i = 0; i < BH_ARRAY_SIZE(checks); i++) {
		_cleanup_buf_ struct bh_buf names = {0};
		const char *first = NULL;
		size_t n = 0, looked = 0;

		bh_vec_foreach(l, &d->f->links) {
			if (l == all || strcmp(l->name, "lo") == 0)
				continue;
			looked++;
			if (!checks[i].is_bad(all, l))
				continue;
			first = first ? first : l->name;
			doctor_list(&names, &n, "%s", l->name);
		}
		doctor_list_end(&names, n);
		if (names.err)
			d->err = names.err;
		if (d->f->links_err < 0 || !all)
			doctor_unread(d, checks[i].check, "/proc/sys/net/ipv4/conf", d->f->links_err < 0 ? d->f->links_err : -ENOENT);
		else if (n == 0)
			doctor_put(d, checks[i].check, BH_RESULT_PASS, "as it should be on %zu links", looked);
		else
			doctor_put(d, checks[i].check, checks[i].bad, "%s %s", checks[i].what, names.s ? names.s : "");
		if (n > 0 && checks[i].check == BH_CHECK_ACCEPT_RA)
			doctor_fix(d, checks[i].check, "sysctl -w net.ipv6.conf.%s.accept_ra=0", first);
		if (n > 0 && checks[i].check == BH_CHECK_ROUTE_LOCALNET)
			doctor_fix(d, checks[i].check, "sysctl -w net.ipv4.conf.%s.route_localnet=0", value(all, BH_LINK_ROUTE_LOCALNET) ? "all" : first);
	}
}
