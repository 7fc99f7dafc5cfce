/* SPDX-License-Identifier: Apache-2.0 */
/* A runtime whose messages are a test's. It keeps state and counts as a real one does. */
#include <bulkhead/runtime.h>

#include <errno.h>

struct fake {
	struct bh_runtime head;
	struct bh_runtime_stats stats;
};

static int fake_start(struct bh_runtime *r, struct bh_error *err)
{
	(void)r, (void)err;
	return 0;
}

static void fake_resync(struct bh_runtime *r)
{
	((struct fake *)r)->stats.resyncs++;
}

static void fake_look(struct bh_runtime *r, const char *bridge)
{
	(void)bridge;
	((struct fake *)r)->stats.events++;
}

static void fake_execs(struct bh_runtime *r, bool on)
{
	(void)r, (void)on;
}

static struct bh_runtime_stats fake_stats(const struct bh_runtime *r)
{
	return ((const struct fake *)r)->stats;
}

static void fake_free(struct bh_runtime *r)
{
	free(r->socket);
	free(r);
}

static const struct bh_runtime_ops fake_ops = {
	.kind = "fake",
	.start = fake_start,
	.resync = fake_resync,
	.look = fake_look,
	.execs = fake_execs,
	.stats = fake_stats,
	.free = fake_free,
};

int bh_fake_runtime_new(bh_runtime_fn fn, void *userdata, struct bh_runtime **ret)
{
	struct fake *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->head.ops = &fake_ops;
	f->head.fn = fn;
	f->head.userdata = userdata;
	if (bh_strdup(&f->head.socket, "fake") < 0) {
		free(f);
		return -ENOMEM;
	}
	*ret = &f->head;
	return 0;
}

void bh_fake_runtime_push(struct bh_runtime *r, const struct bh_runtime_msg *msg)
{
	if (msg->kind == BH_RUNTIME_MSG_STATE)
		r->state = msg->state;
	r->fn(r->userdata, msg);
}
