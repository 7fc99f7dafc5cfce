/* SPDX-License-Identifier: Apache-2.0 */
#include "docker_decode.h"
#include "wire.h"

#include <bulkhead/wire.h>

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <string.h>

#define ID_MAX 128u
#define REASON_MAX 1024u
#define ADDRS_MAX 4096u
#define PUBLISHED_MAX 262144u	/* both families of every port, tcp and udp */
#define NETWORK_ENDS_MAX 4096u	/* subnets, gateways */

enum frame_kind {
	FRAME_STATE,
	FRAME_LIST,	/* what follows up to FRAME_LISTED is everything */
	FRAME_LISTED,
	FRAME_CONTAINER,
	FRAME_GONE,
	FRAME_NETWORK,
	FRAME_NETWORK_GONE,
	FRAME_RESOLVERS,
	FRAME_REGISTRIES,
	FRAME_STATS,
	FRAME_EXEC,
	FRAME_MAX = FRAME_EXEC,
};

/* One frame's worth. What is read is its own. */
struct frame {
	enum frame_kind kind;
	enum bh_runtime_state state;
	char *reason;
	char *id;
	char *text;
	struct bh_container *container;
	struct bh_network *network;
	struct bh_addrs addrs;
	struct bh_registries registries;
	struct bh_runtime_stats stats;
};

static const char *const runtimes[] = {"docker"};
static const char *const flaws[] = {NULL, BH_FLAW_SIZE, BH_FLAW_NAME, BH_FLAW_IMAGE, BH_FLAW_LABELS, BH_FLAW_IMAGE_LABELS};

/* A text that is one of a table's. */
static const char *one_of(struct bh_wire *w, const char *text, const char *const *table, size_t n)
{
	unsigned i = 0;

	while (!bh_wire_reads(w) && i + 1 < n && !bh_streq(table[i], text))
		i++;
	return table[bh_wire_choice(w, i, (unsigned)n - 1)];
}

static void label_wire(struct bh_wire *w, struct bh_label *l)
{
	bh_wire_text(w, &l->key, BH_LABEL_KEY_MAX, 0);
	bh_wire_text(w, &l->value, BH_LABEL_VALUE_MAX, 0);
}

static void endpoint_wire(struct bh_wire *w, struct bh_endpoint *e)
{
	bh_wire_text(w, &e->id, ID_MAX, BH_WIRE_OPTIONAL | BH_WIRE_WORD);
	bh_wire_text(w, &e->network_id, ID_MAX, BH_WIRE_WORD);
	e->has_mac = bh_wire_flag(w, e->has_mac);
	bh_wire_mac(w, &e->mac);
	bh_wire_vec(w, &e->addrs, ADDRS_MAX, 5, bh_wire_addr);
}

static void published_wire(struct bh_wire *w, struct bh_published *p)
{
	bh_wire_u8(w, &p->proto);
	if (bh_wire_reads(w) && p->proto != IPPROTO_TCP && p->proto != IPPROTO_UDP && p->proto != IPPROTO_SCTP)
		bh_wire_fail(w, -EBADMSG);
	bh_wire_addr(w, &p->host);
	bh_wire_u16(w, &p->host_port);
	bh_wire_u16(w, &p->container_port);
}

static void name_wire(struct bh_wire *w, char **s)
{
	bh_wire_text(w, s, BH_NAME_MAX, 0);
}

static void mount_wire(struct bh_wire *w, struct bh_mount *m)
{
	bh_wire_text(w, &m->source, PATH_MAX, 0);
	if (bh_wire_reads(w) && m->source && m->source[0] != '/')
		bh_wire_fail(w, -EBADMSG);
	m->writable = bh_wire_flag(w, m->writable);
	m->socket = bh_wire_flag(w, m->socket);
}

static void image_wire(struct bh_wire *w, struct bh_image_facts *i)
{
	uint64_t created = (uint64_t)i->created;

	i->known = bh_wire_flag(w, i->known);
	bh_wire_u64(w, &created);
	if (bh_wire_reads(w) && created > INT64_MAX)
		bh_wire_fail(w, -EBADMSG);
	i->created = (int64_t)created;
	bh_wire_vec(w, &i->digests, BH_DIGESTS_MAX, 4, name_wire);
}

static void posture_wire(struct bh_wire *w, struct bh_posture *p)
{
	bool *const flags[] = {&p->known, &p->privileged, &p->no_new_privileges, &p->read_only_root, &p->root, &p->unmasked};

	for (size_t i = 0; i < BH_ARRAY_SIZE(flags); i++)
		*flags[i] = bh_wire_flag(w, *flags[i]);
	bh_wire_text(w, &p->user, BH_POSTURE_TEXT_MAX, BH_WIRE_OPTIONAL);
	bh_wire_u64(w, &p->caps);
	p->seccomp = bh_wire_choice(w, p->seccomp, BH_CONFINED_CUSTOM);
	p->apparmor = bh_wire_choice(w, p->apparmor, BH_CONFINED_CUSTOM);
	p->selinux = bh_wire_choice(w, p->selinux, BH_CONFINED_CUSTOM);
	bh_wire_text(w, &p->apparmor_profile, BH_POSTURE_TEXT_MAX, BH_WIRE_OPTIONAL);
	bh_wire_text(w, &p->selinux_label, BH_POSTURE_TEXT_MAX, BH_WIRE_OPTIONAL);
	for (int i = 0; i < BH_NAMESPACE_MAX; i++)
		p->namespaces[i] = bh_wire_choice(w, p->namespaces[i], BH_ISOLATION_SHARED);
	bh_wire_u64(w, &p->memory);
	bh_wire_u64(w, &p->cpus);
	bh_wire_u64(w, &p->pids);
	p->restart = bh_wire_choice(w, p->restart, BH_RESTART_MAX);
	bh_wire_vec(w, &p->mounts, BH_MOUNTS_MAX, 6, mount_wire);
	bh_wire_vec(w, &p->devices, BH_DEVICES_MAX, 4, name_wire);
	bh_wire_text(w, &p->reference, BH_NAME_MAX, BH_WIRE_OPTIONAL);
	image_wire(w, &p->image);
}

/* The one description of a container. A new field is a line here. */
static void container_wire(struct bh_wire *w, struct bh_container *c)
{
	bh_wire_text(w, &c->id, ID_MAX, BH_WIRE_WORD);
	bh_wire_text(w, &c->name, BH_NAME_MAX, BH_WIRE_OPTIONAL);
	bh_wire_text(w, &c->image, BH_NAME_MAX, BH_WIRE_OPTIONAL);
	bh_wire_text(w, &c->image_id, BH_NAME_MAX, BH_WIRE_OPTIONAL | BH_WIRE_WORD);
	c->runtime = one_of(w, c->runtime, runtimes, BH_ARRAY_SIZE(runtimes));
	c->flaw = one_of(w, c->flaw, flaws, BH_ARRAY_SIZE(flaws));
	c->kind = bh_wire_choice(w, c->kind, BH_KIND_BUILD);
	c->state = bh_wire_choice(w, c->state, BH_CONTAINER_STOPPED);
	c->netmode = bh_wire_choice(w, c->netmode, BH_NETMODE_CONTAINER);
	bh_wire_text(w, &c->netns_owner, BH_NAME_MAX, BH_WIRE_OPTIONAL);
	bh_wire_vec(w, &c->labels, BH_LABELS_MAX, 8, label_wire);
	bh_wire_vec(w, &c->image_labels, BH_LABELS_MAX, 8, label_wire);
	bh_wire_vec(w, &c->endpoints, BH_ENDPOINTS_MAX, 19, endpoint_wire);
	bh_wire_vec(w, &c->published, PUBLISHED_MAX, 10, published_wire);
	posture_wire(w, &c->posture);
	/* What is not believed has nothing that could be. */
	if (bh_wire_reads(w) && c->flaw && (c->labels.n || c->image_labels.n || c->endpoints.n))
		bh_wire_fail(w, -EBADMSG);
}

/* The kernel's dev_valid_name(). */
static bool is_ifname(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n < BH_IFNAME && !strpbrk(s, "/: \t\n\r\v\f") && strcmp(s, ".") != 0 && strcmp(s, "..") != 0;
}

static void network_wire(struct bh_wire *w, struct bh_network *n)
{
	bh_wire_text(w, &n->id, ID_MAX, BH_WIRE_WORD);
	bh_wire_text(w, &n->name, BH_NAME_MAX, BH_WIRE_OPTIONAL);
	bh_wire_text(w, &n->driver, BH_NAME_MAX, BH_WIRE_OPTIONAL);
	bh_wire_text(w, &n->bridge, BH_IFNAME - 1, BH_WIRE_OPTIONAL);
	if (bh_wire_reads(w) && n->bridge && !is_ifname(n->bridge))
		bh_wire_fail(w, -EBADMSG);
	n->internal = bh_wire_flag(w, n->internal);
	bh_wire_vec(w, &n->subnets, NETWORK_ENDS_MAX, 6, bh_wire_prefix);
	bh_wire_vec(w, &n->gateways, NETWORK_ENDS_MAX, 5, bh_wire_addr);
}

static void registries_wire(struct bh_wire *w, struct bh_registries *r)
{
	r->known = bh_wire_flag(w, r->known);
	bh_wire_vec(w, &r->insecure, BH_REGISTRIES_MAX, 6, bh_wire_prefix);
	bh_wire_vec(w, &r->insecure_names, BH_REGISTRIES_MAX, 4, name_wire);
	bh_wire_vec(w, &r->secure_names, BH_REGISTRIES_MAX, 4, name_wire);
	bh_wire_vec(w, &r->plain_mirrors, BH_REGISTRIES_MAX, 4, name_wire);
}

/* What is read gets a container, or a network, of its own first. */
#define OWN(w, p)                                                                                  \
	({                                                                                         \
		if (bh_wire_reads(w) && !((p) = calloc(1, sizeof(*(p)))))                          \
			bh_wire_fail(w, -ENOMEM);                                                  \
		(p) != NULL;                                                                       \
	})

static void frame_wire(struct bh_wire *w, struct frame *f)
{
	f->kind = bh_wire_choice(w, f->kind, FRAME_MAX);
	switch (f->kind) {
	case FRAME_STATE:
		f->state = bh_wire_choice(w, f->state, BH_RUNTIME_CONNECTED);
		bh_wire_text(w, &f->reason, REASON_MAX, BH_WIRE_OPTIONAL | BH_WIRE_PLAIN);
		break;
	case FRAME_LIST:
	case FRAME_LISTED:
		break;
	case FRAME_CONTAINER:
		if (OWN(w, f->container))
			container_wire(w, f->container);
		break;
	case FRAME_NETWORK:
		if (OWN(w, f->network))
			network_wire(w, f->network);
		break;
	case FRAME_GONE:
	case FRAME_NETWORK_GONE:
		bh_wire_text(w, &f->id, ID_MAX, BH_WIRE_WORD);
		break;
	case FRAME_RESOLVERS:
		bh_wire_text(w, &f->reason, REASON_MAX, BH_WIRE_OPTIONAL | BH_WIRE_PLAIN);
		bh_wire_vec(w, &f->addrs.v, ADDRS_MAX, 5, bh_wire_addr);
		break;
	case FRAME_EXEC:
		bh_wire_text(w, &f->id, ID_MAX, BH_WIRE_WORD);
		bh_wire_text(w, &f->text, BH_EXEC_TEXT_MAX, 0);
		break;
	case FRAME_REGISTRIES:
		registries_wire(w, &f->registries);
		break;
	case FRAME_STATS:
		bh_wire_u64(w, &f->stats.events);
		bh_wire_u64(w, &f->stats.resyncs);
		bh_wire_u64(w, &f->stats.errors);
		break;
	}
}

/* ---- writing */

static int frame_put(const struct frame *f, bh_runtime_put put, void *userdata)
{
	_cleanup_buf_ struct bh_buf b = {0};
	struct bh_wire w = {.out = &b};
	struct frame copy = *f;	/* what is written is only read */
	uint32_t n = 0;

	bh_wire_u32(&w, &n);
	frame_wire(&w, &copy);
	if (bh_wire_end(&w) < 0)
		return w.err;
	n = (uint32_t)(b.n - sizeof(n));
	if (b.n - sizeof(n) > BH_RUNTIME_FRAME_MAX)
		return -EMSGSIZE;
	memcpy(b.s, &n, sizeof(n));
	return put(userdata, b.s, b.n);
}

static int container_put(const struct bh_container *c, bh_runtime_put put, void *userdata)
{
	struct frame f = {.kind = FRAME_CONTAINER, .container = (struct bh_container *)(uintptr_t)c};
	struct bh_container less = {.id = c->id, .runtime = c->runtime, .flaw = BH_FLAW_SIZE, .kind = c->kind, .state = c->state};
	int r = frame_put(&f, put, userdata);

	if (r != -EMSGSIZE)
		return r;
	f.container = &less;
	return frame_put(&f, put, userdata);
}

static int network_put(const struct bh_network *n, bh_runtime_put put, void *userdata)
{
	const struct frame f = {.kind = FRAME_NETWORK, .network = (struct bh_network *)(uintptr_t)n};

	return frame_put(&f, put, userdata);
}

static int listing_put(const struct bh_inventory *i, bh_runtime_put put, void *userdata)
{
	int r = frame_put(&(struct frame){.kind = FRAME_LIST}, put, userdata);

	bh_vec_foreach(n, &i->networks)
		if (r == 0)
			r = network_put(n, put, userdata);
	bh_vec_foreach(c, &i->containers)
		if (r == 0)
			r = container_put(c, put, userdata);
	return r < 0 ? r : frame_put(&(struct frame){.kind = FRAME_LISTED}, put, userdata);
}

int bh_runtime_wire_tell(const struct bh_runtime_msg *msg, bh_runtime_put put, void *userdata)
{
	struct frame f = {.state = msg->state, .reason = (char *)(uintptr_t)msg->reason, .id = (char *)(uintptr_t)msg->id,
		.text = (char *)(uintptr_t)msg->text};

	switch (msg->kind) {
	case BH_RUNTIME_MSG_STATE:
		f.kind = FRAME_STATE;
		break;
	case BH_RUNTIME_MSG_SNAPSHOT:
		return listing_put(msg->inventory, put, userdata);
	case BH_RUNTIME_MSG_CONTAINER:
		return container_put(msg->container, put, userdata);
	case BH_RUNTIME_MSG_NETWORK:
		return network_put(msg->network, put, userdata);
	case BH_RUNTIME_MSG_GONE:
		f.kind = FRAME_GONE;
		break;
	case BH_RUNTIME_MSG_NETWORK_GONE:
		f.kind = FRAME_NETWORK_GONE;
		break;
	case BH_RUNTIME_MSG_RESOLVERS:
		f.kind = FRAME_RESOLVERS;
		if (msg->addrs)
			f.addrs = *msg->addrs;
		break;
	case BH_RUNTIME_MSG_EXEC:
		f.kind = FRAME_EXEC;
		break;
	case BH_RUNTIME_MSG_REGISTRIES:
		f.kind = FRAME_REGISTRIES;
		f.registries = *msg->registries;
		break;
	}
	return frame_put(&f, put, userdata);
}

int bh_runtime_wire_stats(const struct bh_runtime_stats *s, bh_runtime_put put, void *userdata)
{
	return frame_put(&(struct frame){.kind = FRAME_STATS, .stats = *s}, put, userdata);
}

/* ---- reading */

static void frame_clear(struct frame *f)
{
	free(f->reason);
	free(f->id);
	free(f->text);
	if (f->container)
		bh_container_clear(f->container);
	free(f->container);
	if (f->network)
		bh_network_clear(f->network);
	free(f->network);
	bh_vec_clear(&f->addrs.v);
	bh_registries_clear(&f->registries);
}

/* A piece of the listing, which takes it over. */
static int list_piece(struct bh_runtime_reader *r, struct frame *f, size_t n)
{
	int e = 0;

	r->listed += n;
	if (r->listed > BH_RUNTIME_LISTED_BYTES || r->listing->containers.n >= BH_RUNTIME_LISTED_MAX ||
		r->listing->networks.n >= BH_RUNTIME_LISTED_MAX)
		return -EBADMSG;
	if (f->kind == FRAME_CONTAINER) {
		e = bh_vec_push(&r->listing->containers, *f->container);
		if (e == 0)
			memset(f->container, 0, sizeof(*f->container));
	} else if (f->kind == FRAME_NETWORK) {
		e = bh_vec_push(&r->listing->networks, *f->network);
		if (e == 0)
			memset(f->network, 0, sizeof(*f->network));
	} else {
		return -EBADMSG;	/* nothing else comes between */
	}
	return e;
}

static int list_end(struct bh_runtime_reader *r, bh_runtime_fn fn, void *userdata)
{
	_cleanup_(bh_inventory_freep) struct bh_inventory *i = bh_take(r->listing);
	const struct bh_runtime_msg msg = {.kind = BH_RUNTIME_MSG_SNAPSHOT, .inventory = i};

	r->listed = 0;
	fn(userdata, &msg);
	return 0;
}

static int frame_take(struct bh_runtime_reader *r, struct frame *f, size_t n, bh_runtime_fn fn, void *userdata)
{
	static const enum bh_runtime_msg_kind kinds[] = {
		[FRAME_STATE] = BH_RUNTIME_MSG_STATE,
		[FRAME_CONTAINER] = BH_RUNTIME_MSG_CONTAINER,
		[FRAME_GONE] = BH_RUNTIME_MSG_GONE,
		[FRAME_NETWORK] = BH_RUNTIME_MSG_NETWORK,
		[FRAME_NETWORK_GONE] = BH_RUNTIME_MSG_NETWORK_GONE,
		[FRAME_RESOLVERS] = BH_RUNTIME_MSG_RESOLVERS,
		[FRAME_EXEC] = BH_RUNTIME_MSG_EXEC,
		[FRAME_REGISTRIES] = BH_RUNTIME_MSG_REGISTRIES,
	};
	struct bh_runtime_msg msg = {.state = f->state, .reason = f->reason, .container = f->container, .network = f->network, .id = f->id, .text = f->text,
		.addrs = &f->addrs, .registries = &f->registries};

	if (r->listing && f->kind == FRAME_LISTED)
		return list_end(r, fn, userdata);
	if (r->listing)
		return list_piece(r, f, n);
	if (f->kind == FRAME_LISTED)
		return -EBADMSG;
	if (f->kind == FRAME_LIST) {
		r->listing = calloc(1, sizeof(*r->listing));
		return r->listing ? 0 : -ENOMEM;
	}
	if (f->kind == FRAME_STATS) {
		r->stats = f->stats;
		return 0;
	}
	msg.kind = kinds[f->kind];
	fn(userdata, &msg);
	return 0;
}

static int frame_read(struct bh_runtime_reader *r, const char *body, size_t n, bh_runtime_fn fn, void *userdata)
{
	_cleanup_(frame_clear) struct frame f = {0};
	struct bh_wire w = {.in = body, .n = n};

	frame_wire(&w, &f);
	return bh_wire_end(&w) < 0 ? w.err : frame_take(r, &f, n, fn, userdata);
}

/* The frames that are whole. Returns how many bytes they take, or -errno. */
static ssize_t frames_read(struct bh_runtime_reader *r, const char *data, size_t n, bh_runtime_fn fn, void *userdata)
{
	size_t at = 0;
	uint32_t len;
	int e = 0;

	while (e == 0 && n - at >= sizeof(len)) {
		memcpy(&len, data + at, sizeof(len));
		if (len == 0 || len > BH_RUNTIME_FRAME_MAX)
			return -EBADMSG;
		if (n - at - sizeof(len) < len)
			break;
		e = frame_read(r, data + at + sizeof(len), len, fn, userdata);
		at += sizeof(len) + len;
	}
	return e < 0 ? e : (ssize_t)at;
}

int bh_runtime_reader_feed(struct bh_runtime_reader *r, const char *data, size_t n, bh_runtime_fn fn, void *userdata)
{
	ssize_t done;

	if (r->in.n > 0) {
		bh_buf_putn(&r->in, data, n);
		if (r->in.err < 0)
			return r->in.err;
		done = frames_read(r, r->in.s, r->in.n, fn, userdata);
		if (done < 0)
			return (int)done;
		memmove(r->in.s, r->in.s + done, r->in.n - (size_t)done);
		r->in.n -= (size_t)done;
		if (r->in.n == 0)
			bh_buf_free(&r->in);	/* a large one is not kept */
		return 0;
	}
	done = frames_read(r, data, n, fn, userdata);
	if (done < 0)
		return (int)done;
	if ((size_t)done < n)
		bh_buf_putn(&r->in, data + done, n - (size_t)done);
	return r->in.err;
}

void bh_runtime_reader_clear(struct bh_runtime_reader *r)
{
	bh_buf_free(&r->in);
	bh_inventory_free(r->listing);
	r->listing = NULL;
	r->listed = 0;
}
