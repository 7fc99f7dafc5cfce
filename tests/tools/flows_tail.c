/* SPDX-License-Identifier: Apache-2.0 */
/* flows-tail: NFLOG and conntrack of this network namespace as lines.
 *   flows-tail log [GROUP]   prints "ready", then a line for each record, and at the end of its standard input "lost N"
 *   flows-tail dump          prints every connection
 *   flows-tail turn          turns every TCP connection that was picked up in the middle, prints how many */
#include <bulkhead/flows.h>
#include <bulkhead/ruleset.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void flow_print(void *userdata, const struct bh_flow *f)
{
	char from[BH_ADDR_TEXT], to[BH_ADDR_TEXT];

	(void)userdata;
	printf("flow %u %s %u %s %u state %u status %x%s%s timeout %u\n", f->proto, bh_addr_text(&f->from, from), f->from_port,
		bh_addr_text(&f->to, to), f->to_port, f->tcp_state, f->status, f->picked_up ? " picked-up" : "",
		bh_flow_is_translated(f) ? " translated" : "", f->timeout);
}

static void denied_print(void *userdata, const struct bh_denied *d)
{
	char from[BH_ADDR_TEXT], to[BH_ADDR_TEXT], mac[BH_MAC_TEXT];

	(void)userdata;
	printf("%s %s hook %u in %u/%u out %u/%u type %04x mac %s %s:%u %s:%u proto %u icmp %u/%u len %u%s%s%s%s\n", bh_denied_class_name(d->class),
		d->bridge ? "bridge" : "inet", d->hook, d->in, d->in_port, d->out, d->out_port, d->ether_type,
		d->has_mac ? bh_mac_text(&d->from_mac, mac) : "-", d->from.family ? bh_addr_text(&d->from, from) : "-", d->from_port,
		d->to.family ? bh_addr_text(&d->to, to) : "-", d->to_port, d->proto, d->icmp_type, d->icmp_code, d->length,
		d->has_flow ? " flow" : "", d->reply ? " reply" : "", d->starts ? " starts" : "", d->related ? " related" : "");
	fflush(stdout);
}

static int tail(uint16_t group)
{
	_cleanup_(bh_nflog_freep) struct bh_nflog *n = NULL;
	struct bh_error err = {0};
	char byte;
	int r = bh_nflog_new(group, &n, &err);

	if (r < 0) {
		fprintf(stderr, "flows-tail: %s\n", err.msg);
		return r == -EBUSY ? 3 : 1;
	}
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct pollfd fds[] = {{.fd = bh_nflog_fd(n), .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};

		if (poll(fds, 2, -1) < 0)
			return 1;
		r = bh_nflog_read(n, denied_print, NULL);
		if (r < 0) {
			fprintf(stderr, "flows-tail: %s\n", strerror(-r));
			return 1;
		}
		if (r == 0 && fds[1].revents && read(STDIN_FILENO, &byte, 1) <= 0)
			break;
	}
	printf("lost %llu\n", (unsigned long long)bh_nflog_lost(n));
	return 0;
}

struct turns {
	BH_VEC(struct bh_flow) v;
};

static void turn_collect(void *userdata, const struct bh_flow *f)
{
	struct turns *t = userdata;

	if (f->picked_up && !bh_flow_is_translated(f))
		(void)bh_vec_push(&t->v, *f);
}

static int connections(bool turn)
{
	_cleanup_(bh_flows_freep) struct bh_flows *f = NULL;
	struct bh_error err = {0};
	struct turns turns = {0};
	size_t done = 0;
	int r = bh_flows_new(&f, &err);

	if (r == 0)
		r = f->ops->dump(f, turn ? turn_collect : flow_print, &turns, &err);
	bh_vec_foreach(x, &turns.v) {
		struct bh_flow other = bh_flow_turned(x);

		if (r == 0)
			r = f->ops->forget(f, x, &err);
		if (r == 0)
			r = f->ops->adopt(f, &other, &err);
		done += r == 0;
	}
	if (turn)
		printf("turned %zu\n", done);
	bh_vec_clear(&turns.v);
	if (r < 0)
		fprintf(stderr, "flows-tail: %s\n", err.msg);
	return r < 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "log") == 0)
		return tail(argc > 2 ? (uint16_t)strtoul(argv[2], NULL, 10) : BH_NFLOG_GROUP);
	if (argc > 1 && (strcmp(argv[1], "dump") == 0 || strcmp(argv[1], "turn") == 0))
		return connections(argv[1][0] == 't');
	fprintf(stderr, "usage: flows-tail log [GROUP] | dump | turn\n");
	return 2;
}
