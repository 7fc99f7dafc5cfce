/* SPDX-License-Identifier: Apache-2.0 */
/* Containers and networks as a runtime could tell them, at random: every field takes every kind of value. */
#ifndef BULKHEAD_TESTS_INVENTORY_RANDOM_H
#define BULKHEAD_TESTS_INVENTORY_RANDOM_H

#include <bulkhead/inventory.h>

#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline uint32_t random_next(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 33);
}

/* Letters, controls, two and four bytes a character. NULL now and then when it may be. */
static inline char *random_text(uint64_t *seed, bool optional)
{
	static const char *const parts[] = {"a", "B", "9", " ", "\n", "\x1b[2J", "\xc3\xa4", "\xf0\x9f\x90\xb3", "/", "\\", "\"", "=", ""};
	char text[256] = "";
	size_t n = random_next(seed) % 12;

	if (optional && random_next(seed) % 4 == 0)
		return NULL;
	for (size_t i = 0; i < n; i++)
		strcat(text, parts[random_next(seed) % (sizeof(parts) / sizeof(*parts))]);
	return strdup(text);
}

static inline char *random_id(uint64_t *seed)
{
	char text[65];

	for (size_t i = 0; i < 64; i++)
		text[i] = "0123456789abcdef"[random_next(seed) % 16];
	text[64] = '\0';
	return strdup(text);
}

static inline struct bh_addr random_addr(uint64_t *seed)
{
	struct bh_addr a = {.family = random_next(seed) % 2 ? 4 : 6};

	for (size_t i = 0; i < bh_addr_size(&a); i++)
		a.b[i] = (uint8_t)random_next(seed);
	return a;
}

static inline struct bh_prefix random_prefix(uint64_t *seed)
{
	struct bh_prefix p = {.addr = random_addr(seed)};
	struct bh_addr last;

	p.len = (uint8_t)(random_next(seed) % (8 * bh_addr_size(&p.addr) + 1));
	bh_prefix_range(&p, &p.addr, &last);
	return p;
}

static inline void random_posture(uint64_t *seed, struct bh_posture *p)
{
	bool *const flags[] = {&p->known, &p->privileged, &p->no_new_privileges, &p->read_only_root, &p->root, &p->unmasked, &p->image.known};

	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		*flags[i] = random_next(seed) % 2;
	p->user = random_text(seed, true);
	p->apparmor_profile = random_text(seed, true);
	p->selinux_label = random_text(seed, true);
	p->reference = random_text(seed, true);
	p->caps = (uint64_t)random_next(seed) << 33 | random_next(seed);
	p->seccomp = random_next(seed) % (BH_CONFINED_CUSTOM + 1);
	p->apparmor = random_next(seed) % (BH_CONFINED_CUSTOM + 1);
	p->selinux = random_next(seed) % (BH_CONFINED_CUSTOM + 1);
	for (int i = 0; i < BH_NAMESPACE_MAX; i++)
		p->namespaces[i] = random_next(seed) % (BH_ISOLATION_SHARED + 1);
	p->memory = random_next(seed);
	p->cpus = random_next(seed);
	p->pids = random_next(seed);
	p->restart = random_next(seed) % (BH_RESTART_MAX + 1);
	p->image.created = random_next(seed);
	for (size_t n = random_next(seed) % 3; n > 0; n--) {
		struct bh_mount m = {.source = strdup(n == 1 ? "/" : "/run/x"), .writable = random_next(seed) % 2, .socket = random_next(seed) % 2};

		(void)bh_vec_push(&p->mounts, m);
	}
	for (size_t n = random_next(seed) % 3; n > 0; n--) {
		struct bh_strv *to = random_next(seed) % 2 ? &p->devices : &p->image.digests;
		char *s = random_text(seed, false);

		(void)bh_strv_push(to, s);
		free(s);
	}
}

static inline void random_container(uint64_t *seed, struct bh_container *c)
{
	static const char *const flaws[] = {BH_FLAW_NAME, BH_FLAW_IMAGE, BH_FLAW_LABELS, BH_FLAW_IMAGE_LABELS, BH_FLAW_SIZE};
	size_t n;

	c->id = random_id(seed);
	c->name = random_text(seed, true);
	c->image = random_text(seed, true);
	c->image_id = random_next(seed) % 2 ? random_id(seed) : NULL;
	c->runtime = "docker";
	c->kind = random_next(seed) % 2 ? BH_KIND_BUILD : BH_KIND_CONTAINER;
	c->state = random_next(seed) % (BH_CONTAINER_STOPPED + 1);
	c->netmode = random_next(seed) % (BH_NETMODE_CONTAINER + 1);
	c->netns_owner = random_text(seed, true);
	random_posture(seed, &c->posture);
	for (n = random_next(seed) % 4; n > 0; n--) {
		struct bh_published p = {.proto = (uint8_t[]){IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP}[random_next(seed) % 3], .host = random_addr(seed),
			.host_port = (uint16_t)random_next(seed), .container_port = (uint16_t)random_next(seed)};

		(void)bh_vec_push(&c->published, p);
	}
	if (random_next(seed) % 4 == 0) {
		c->flaw = flaws[random_next(seed) % 5];
		return;
	}
	for (n = random_next(seed) % 4; n > 0; n--) {
		struct bh_label l = {random_text(seed, false), random_text(seed, false)}, i = {random_text(seed, false), random_text(seed, false)};

		(void)bh_vec_push(&c->labels, l);
		(void)bh_vec_push(&c->image_labels, i);
	}
	for (n = random_next(seed) % 3; n > 0; n--) {
		struct bh_endpoint *e = bh_vec_add(&c->endpoints);

		e->id = random_next(seed) % 2 ? random_id(seed) : NULL;
		e->network_id = random_id(seed);
		e->has_mac = random_next(seed) % 2;
		for (size_t i = 0; i < 6; i++)
			e->mac.b[i] = (uint8_t)random_next(seed);
		for (size_t k = random_next(seed) % 3; k > 0; k--)
			(void)bh_vec_push(&e->addrs, random_addr(seed));
	}
}

static inline void random_network(uint64_t *seed, struct bh_network *n)
{
	size_t k;

	n->id = random_id(seed);
	n->name = random_text(seed, true);
	n->driver = random_text(seed, true);
	n->bridge = random_next(seed) % 2 ? strdup("br-0123456789ab") : NULL;
	n->internal = random_next(seed) % 2;
	for (k = random_next(seed) % 3; k > 0; k--)
		(void)bh_vec_push(&n->subnets, random_prefix(seed));
	for (k = random_next(seed) % 3; k > 0; k--)
		(void)bh_vec_push(&n->gateways, random_addr(seed));
}

#endif
