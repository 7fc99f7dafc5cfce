/* SPDX-License-Identifier: Apache-2.0 */
/* bulkhead-runtime SOCKET: started by bulkheadd, with the way to it as descriptor 3, and as 4 the one to who opens what it may not. */
#include <bulkhead/confine.h>
#include <bulkhead/runtime.h>

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>

#define LINK_FD 3
#define DOOR_FD 4

/* In the place of connect(2) for the whole program: every socket of it was connected by who has opened it, and libcurl (7.88, of Debian 12)
 * connects it all the same when its callback has said so, CURLOPT_SOCKOPTFUNCTION(3). */
int connect(int fd, const struct sockaddr *to, socklen_t n)
{
	(void)fd, (void)to, (void)n;
	return 0;
}

static bool is_socket(int fd, int wanted)
{
	int type = 0;
	socklen_t n = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == wanted;
}

int main(int argc, char **argv)
{
	struct bh_error err = {0};
	struct bh_door door;

	if (argc != 2 || !is_socket(LINK_FD, SOCK_STREAM) || !is_socket(DOOR_FD, SOCK_SEQPACKET)) {
		fprintf(stderr, "bulkhead-runtime: is started by bulkheadd alone\n");
		return 2;
	}
	/* What one look at ten thousand containers takes goes back to the system: glibc would raise these by itself and keep it. */
	(void)mallopt(M_MMAP_THRESHOLD, 256 * 1024);
	(void)mallopt(M_TRIM_THRESHOLD, 512 * 1024);
	(void)signal(SIGPIPE, SIG_IGN);
	door = bh_door_asking(argv[1], DOOR_FD);
	if (bh_confine_privileges(false, &err) < 0 || bh_confine_files(NULL, (const char *const[]){NULL}, &err) < 0 || bh_confine_calls(BH_CALLS_RUNTIME, &err) < 0 ||
		bh_docker_follow(argv[1], &door, LINK_FD, &err) < 0) {
		fprintf(stderr, "bulkhead-runtime: %s\n", err.msg);
		return 1;
	}
	return 0;
}
