/* SPDX-License-Identifier: Apache-2.0 */
/* bulkhead-control: started by bulkheadd, with the way to it as descriptor 3 and the socket to accept on as 4. */
#include "front.h"

#include <bulkhead/confine.h>

#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>

#define LINK_FD 3
#define LISTEN_FD 4

static bool listens(int fd)
{
	int on = 0;
	socklen_t n = sizeof(on);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &n) == 0 && on;
}

int main(int argc, char **argv)
{
	struct bh_error err = {0};
	gid_t group;

	(void)argv;
	if (argc != 1 || !listens(LISTEN_FD)) {
		fprintf(stderr, "bulkhead-control: is started by bulkheadd alone\n");
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	group = bh_control_group();	/* before no file can be read */
	if (bh_confine_privileges(false, &err) < 0 || bh_confine_files(NULL, (const char *const[]){NULL}, &err) < 0 || bh_confine_calls(BH_CALLS_CONTROL, &err) < 0 ||
		bh_control_front(LISTEN_FD, LINK_FD, group, &err) < 0) {
		fprintf(stderr, "bulkhead-control: %s\n", err.msg);
		return 1;
	}
	return 0;
}
