/* SPDX-License-Identifier: Apache-2.0 */
/* The zone `dns`: the resolvers that containers are really given. Docker decides which: those that the daemon was told, or else
 * the host's as github.com/moby/moby libnetwork/resolvconf reads them. */
#include "manager.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>

#define RESOLV_CONF "/etc/resolv.conf"
#define RESOLVED_CONF "/run/systemd/resolve/resolv.conf"
#define LINES_MAX 1000

static void fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

/* The nameservers of resolv.conf(5), loopback and all. No file: none. */
static int file_read(const char *path, struct bh_addrs *ret)
{
	_cleanup_(fclosep) FILE *f = fopen(path, "re");
	char line[256], word[64];
	struct bh_addr a;

	if (!f)
		return errno == ENOENT ? 0 : -errno;
	for (int i = 0; i < LINES_MAX && fgets(line, sizeof(line), f); i++) {
		if (sscanf(line, " nameserver %63s", word) != 1)
			continue;
		word[strcspn(word, "%")] = '\0';	/* a scope is no part of the address */
		if (bh_addr_parse(word, &a) == 0 && bh_addrs_add(ret, &a) < 0)
			return -ENOMEM;
	}
	return ferror(f) ? -EIO : 0;
}

/* systemd-resolved's stub alone: then Docker reads the file with what is behind it. */
static bool is_stub(const struct bh_addrs *a)
{
	static const struct bh_addr stub = { .family = 4, .b = { 127, 0, 0, 53 } };

	return a->v.n == 1 && bh_addr_cmp(&a->v.v[0], &stub) == 0;
}

int bh_resolvers_read(const char *path, const char *resolved_path, struct bh_addrs *ret)
{
	static const char *const defaults[] = { "8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844" };
	struct bh_addrs all = {0};
	int r = file_read(path, &all);

	if (r == 0 && is_stub(&all)) {
		bh_vec_clear(&all.v);
		r = file_read(resolved_path, &all);
	}
	bh_vec_foreach(a, &all.v)
		if (r == 0 && !bh_addr_is_loopback(a))
			r = bh_addrs_add(ret, a);
	bh_vec_clear(&all.v);
	/* A resolver on the host's loopback is asked by dockerd itself where it can be; on the default bridge it gives these instead. */
	if (r < 0 || ret->v.n > 0)
		return r;
	for (size_t i = 0; i < BH_ARRAY_SIZE(defaults) && r == 0; i++) {
		struct bh_addr a;

		r = bh_addr_parse(defaults[i], &a);
		if (r == 0)
			r = bh_vec_push(&ret->v, a);
	}
	return r;
}

static int current(const struct bh_manager *m, struct bh_addrs *ret)
{
	bh_vec_foreach(s, &m->sources)
		bh_vec_foreach(a, &(*s)->resolvers.v)
			if (bh_addrs_add(ret, a) < 0)
				return -ENOMEM;
	return ret->v.n > 0 ? 0 : bh_resolvers_read(RESOLV_CONF, RESOLVED_CONF, ret);
}

static bool runs(const struct bh_container *c)
{
	return c->state == BH_CONTAINER_RUNNING || c->state == BH_CONTAINER_PAUSED;
}

static void user_gone(struct bh_strv *users, size_t i)
{
	free(users->v[i]);
	users->v[i] = users->v[--users->n];
}

/* Who of USERS has stopped uses nothing any more. */
static void users_prune(const struct bh_manager *m, struct bh_strv *users)
{
	for (size_t i = 0; i < users->n;) {
		bool here = false;

		bh_vec_foreach(s, &m->sources) {
			const struct bh_container *c = bh_inventory_container((*s)->inventory, users->v[i]);

			here = here || (c && runs(c));
		}
		if (here)
			i++;
		else
			user_gone(users, i);
	}
}

/* A resolver that is given no more: whoever runs now goes on with it. */
static int users_collect(const struct bh_manager *m, struct bh_strv *users)
{
	bh_vec_foreach(s, &m->sources)
		bh_vec_foreach(c, &(*s)->inventory->containers)
			if (runs(c) && bh_strv_push(users, c->id) < 0)
				return -ENOMEM;
	return 0;
}

int bh_resolvers_follow(struct bh_manager *m, const struct bh_addrs *now)
{
	bh_vec_foreach(k, &m->resolvers) {
		bool given = bh_addrs_have(now, &k->addr);

		if (given)
			bh_strv_clear(&k->users);
		else if (!k->left && users_collect(m, &k->users) < 0)
			return -ENOMEM;
		k->left = !given;
		users_prune(m, &k->users);
	}
	for (size_t i = 0; i < m->resolvers.n;) {
		struct bh_resolver *k = &m->resolvers.v[i];

		if (!k->left || k->users.n > 0) {
			i++;
			continue;
		}
		bh_strv_clear(&k->users);
		*k = m->resolvers.v[--m->resolvers.n];
	}
	bh_vec_foreach(a, &now->v) {
		struct bh_resolver fresh = { .addr = *a };
		bool known = false;

		bh_vec_foreach(k, &m->resolvers)
			known = known || bh_addr_cmp(&k->addr, a) == 0;
		if (!known && bh_vec_push(&m->resolvers, fresh) < 0)
			return -ENOMEM;
	}
	return 0;
}

void bh_resolvers_clear(struct bh_manager *m)
{
	bh_vec_foreach(k, &m->resolvers)
		bh_strv_clear(&k->users);
	bh_vec_clear(&m->resolvers);
	for (size_t i = 0; i < BH_ARRAY_SIZE(m->resolv_watch); i++)
		m->resolv_watch[i] = sd_event_source_disable_unref(m->resolv_watch[i]);
}

static int on_change(sd_event_source *s, const struct inotify_event *e, void *userdata)
{
	struct bh_manager *m = userdata;

	(void)s;
	if (e->len > 0 && !strstr(e->name, "resolv.conf"))
		return 0;	/* another file of /etc */
	for (size_t i = 0; i < BH_ARRAY_SIZE(m->resolv_watch); i++)	/* it may be another file now: watched anew with the next look */
		m->resolv_watch[i] = sd_event_source_disable_unref(m->resolv_watch[i]);
	bh_manager_host_changed(m);
	return 0;
}

/* The name in its directory, the file itself (which may be mounted there, or behind a link), systemd's directory. What cannot be watched is
 * read again with every poll. */
static void watch(struct bh_manager *m)
{
	static const struct {
		const char *path;
		uint32_t mask;
	} watched[] = {
		{ "/etc", IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_CLOSE_WRITE | IN_ONLYDIR },
		{ RESOLV_CONF, IN_CLOSE_WRITE | IN_MODIFY | IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB },
		{ "/run/systemd/resolve", IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_CLOSE_WRITE | IN_ONLYDIR },
	};

	_Static_assert(BH_ARRAY_SIZE(watched) == BH_ARRAY_SIZE(m->resolv_watch), "one each");
	for (size_t i = 0; i < BH_ARRAY_SIZE(watched); i++)
		if (!m->resolv_watch[i] &&
			sd_event_add_inotify(m->event, &m->resolv_watch[i], watched[i].path, watched[i].mask, on_change, m) < 0)
			m->resolv_watch[i] = NULL;
}

bool bh_resolvers_linger(const struct bh_manager *m)
{
	bh_vec_foreach(k, &m->resolvers)
		if (k->left)
			return true;
	return false;
}

bool bh_resolvers_moved(struct bh_manager *m)
{
	struct bh_addrs now = {0};
	bool moved = false;
	size_t given = 0;

	watch(m);
	(void)current(m, &now);	/* as far as they can be read, as they are taken over */
	bh_vec_foreach(k, &m->resolvers) {
		given += !k->left;
		moved = moved || (!k->left && !bh_addrs_have(&now, &k->addr));
	}
	moved = moved || given != now.v.n;
	bh_vec_clear(&now.v);
	return moved;
}

int bh_resolvers_add(struct bh_manager *m)
{
	struct bh_addrs now = {0};
	int r;

	watch(m);	/* before it is read, so that nothing falls between */
	r = current(m, &now);
	/* Without its resolvers nothing opens that should not: a file that cannot be read now may come back. */
	if (r < 0 && r != -ENOMEM)
		r = 0;
	if (r == 0)
		r = bh_resolvers_follow(m, &now);
	bh_vec_foreach(k, &m->resolvers)
		if (r == 0)
			r = bh_vec_push(&m->seen.host->resolvers, k->addr);
	bh_vec_clear(&now.v);
	return r;
}
