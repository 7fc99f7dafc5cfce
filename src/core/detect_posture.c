/* SPDX-License-Identifier: Apache-2.0 */
/* What of a container's posture has changed, in words. */
#include <bulkhead/detect.h>

#include <inttypes.h>

static void put(struct bh_buf *out, const char **sep, const char *what)
{
	bh_buf_printf(out, "%s%s", *sep, what);
	*sep = ", ";
}

static void put_limit(struct bh_buf *out, const char **sep, const char *what, uint64_t before, uint64_t now)
{
	if (before == now)
		return;
	put(out, sep, what);
	bh_buf_printf(out, before ? " %" PRIu64 : " none", before);
	bh_buf_printf(out, now ? " -> %" PRIu64 : " -> none", now);
}

int bh_posture_changes(const struct bh_posture *before, const struct bh_posture *now, struct bh_buf *out)
{
	static const struct bh_posture nothing;
	struct bh_posture a = *before, b = *now;
	const char *sep = "";

	put_limit(out, &sep, "memory", a.memory, b.memory);
	put_limit(out, &sep, "cpus", a.cpus, b.cpus);
	put_limit(out, &sep, "pids", a.pids, b.pids);
	if (a.restart != b.restart) {
		put(out, &sep, "restart ");
		bh_buf_printf(out, "%s -> %s", bh_restart_name(a.restart), bh_restart_name(b.restart));
	}
	if (a.privileged != b.privileged)
		put(out, &sep, b.privileged ? "privileged now" : "privileged no more");
	if (a.caps != b.caps)
		put(out, &sep, "capabilities");
	/* what is left when all of that is the same */
	a.memory = b.memory = nothing.memory;
	a.cpus = b.cpus = a.pids = b.pids = 0;
	a.restart = b.restart;
	a.privileged = b.privileged;
	a.caps = b.caps;
	a.image = b.image = nothing.image;	/* what is known of an image changes with the image's own names */
	if (!bh_posture_equal(&a, &b))
		put(out, &sep, "other settings");
	return out->err;
}
