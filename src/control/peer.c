/* SPDX-License-Identifier: Apache-2.0 */
#include "peer.h"

#include <errno.h>
#include <grp.h>
#include <sys/socket.h>

gid_t bh_control_group(void)
{
	struct group *g = getgrnam(BH_CONTROL_GROUP);

	return g ? g->gr_gid : (gid_t)-1;
}

/* Whether GROUP is one of the peer's supplementary groups. */
static bool peer_has_group(int fd, gid_t group)
{
	_cleanup_free_ gid_t *groups = NULL;
	socklen_t size = 0;

	/* The first call asks for the size: ERANGE tells it. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) < 0 && errno != ERANGE)
		return false;
	if (size == 0)
		return false;
	groups = malloc(size);
	if (!groups || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
		return false;
	for (size_t i = 0; i < size / sizeof(*groups); i++)
		if (groups[i] == group)
			return true;
	return false;
}

enum bh_control_right bh_control_peer_right(int fd, gid_t group, struct bh_control_peer *ret)
{
	struct ucred cred;
	socklen_t size = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
		return BH_RIGHT_NONE;
	*ret = (struct bh_control_peer){.pid = cred.pid, .uid = cred.uid, .gid = cred.gid};
	if (cred.uid == 0)
		return BH_RIGHT_WRITE;
	if (group != (gid_t)-1 && (cred.gid == group || peer_has_group(fd, group)))
		return BH_RIGHT_READ;
	return BH_RIGHT_NONE;
}
