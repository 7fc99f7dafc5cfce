/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of denied packets as documents. */
#include "manager.h"

#include <netinet/in.h>
#include <stdio.h>

#define DROPS_MAX BH_KINDS_MAX

const char *bh_drop_proto(uint8_t proto, uint16_t ether_type, char buf[BH_DROP_TEXT])
{
	struct bh_port p = {.proto = proto == IPPROTO_ICMPV6 ? IPPROTO_ICMP : proto, .all = true};

	if (proto)
		return bh_port_text(&p, buf);
	if (ether_type == 0 || ether_type == 0x0806)	/* what is no IP is ARP, as far as anybody sends it */
		snprintf(buf, BH_DROP_TEXT, "arp");
	else
		snprintf(buf, BH_DROP_TEXT, "ether-%04x", ether_type);
	return buf;
}

const char *bh_drop_port(const struct bh_kind *k, char buf[BH_DROP_TEXT])
{
	if (k->port == BH_PORT_NONE)
		return NULL;
	snprintf(buf, BH_DROP_TEXT, k->port == BH_PORT_MANY ? "many" : "%d", k->port);
	return buf;
}

static json_t *addr_json(const struct bh_addr *a)
{
	char text[BH_ADDR_TEXT];

	return a->family ? json_string(bh_addr_text(a, text)) : json_null();
}

/* "198.51.100.1:8080", "[2001:db8::1]:8080". */
static json_t *via_json(const struct bh_kind *k)
{
	char addr[BH_ADDR_TEXT];

	if (!k->via.family)
		return json_null();
	return json_sprintf(k->via.family == 6 ? "[%s]:%u" : "%s:%u", bh_addr_text(&k->via, addr), k->via_port);
}

json_t *bh_drop_json(const struct bh_kind *k)
{
	char port[BH_DROP_TEXT], proto[BH_DROP_TEXT];

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s?, s:I, s:I, s:I, s:o, s:o, s:o}", "class", bh_denied_class_name(k->class), "verdict",
		k->audit ? "audit" : "deny", "from", k->from, "from_zone", k->from_zone, "to", k->to, "to_zone", k->to_zone, "proto",
		bh_drop_proto(k->proto, 0, proto), "port", bh_drop_port(k, port), "count", (json_int_t)k->count, "first_usec",
		(json_int_t)k->first_usec, "last_usec", (json_int_t)k->last_usec, "from_addr", addr_json(&k->from_addr), "to_addr",
		addr_json(&k->to_addr), "via", via_json(k));
}

struct listing {
	json_t *array;
	size_t left;
};

static void kind_list(void *userdata, struct bh_kind *k)
{
	struct listing *l = userdata;

	if (l->left == 0)
		return;
	l->left--;
	(void)json_array_append_new(l->array, bh_drop_json(k));
}

json_t *bh_drops_list(struct bh_manager *m, size_t max)
{
	struct listing l = {.array = json_array(), .left = max};

	bh_denials_now(m);
	if (l.array && m->kinds)
		bh_kinds_each(m->kinds, kind_list, &l);
	return l.array;
}

int bh_drops_follow(struct bh_manager *m, struct bh_control_call *call, uint64_t *seq, size_t max)
{
	struct bh_kind *const *v;
	size_t n = bh_kinds_since(m->kinds, *seq, max, &v);

	for (size_t i = 0; i < n; i++) {
		int r = bh_control_tell(call, bh_drop_json(v[i]));

		if (r < 0)
			return r;
		if (v[i]->seq > *seq)
			*seq = v[i]->seq;
	}
	return 0;
}

void bh_handle_drops(struct bh_manager *m, struct bh_control_call *call, const json_t *request)
{
	if (json_is_true(json_object_get(request, "follow")))
		bh_follow(m, call, BH_FOLLOW_DROPS);
	else
		bh_control_reply(call, json_pack("{s:i, s:o}", "version", 1, "denials", bh_drops_list(m, DROPS_MAX)));
}
