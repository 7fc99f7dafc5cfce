/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/confine.h>

#include <cap-ng.h>
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>

int bh_confine_privileges(bool net_admin, struct bh_error *err)
{
	bool bounds;
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return bh_fail(err, -errno, "no-new-privileges: %s", strerror(errno));
	if (capng_get_caps_process() < 0)
		return bh_fail(err, -EPERM, "capabilities cannot be read");
	bounds = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	if (net_admin && !capng_have_capability(CAPNG_PERMITTED, CAP_NET_ADMIN))
		return bh_fail(err, -EPERM, "CAP_NET_ADMIN is needed");
	capng_clear(CAPNG_SELECT_ALL);
	r = net_admin ? capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET, CAP_NET_ADMIN) : 0;
	/* The ambient set goes with the inheritable one. */
	if (r == 0 && bounds)
		r = capng_apply(CAPNG_SELECT_BOUNDS);
	if (r == 0)
		r = capng_apply(CAPNG_SELECT_CAPS);
	return r < 0 ? bh_fail(err, -EPERM, "capabilities cannot be given up") : 0;
}
