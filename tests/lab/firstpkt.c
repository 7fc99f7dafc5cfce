// SPDX-License-Identifier: Apache-2.0
/*
 * firstpkt udp|tcp ADDRESS PORT MARKER [COUNT [GAP_US]]
 *
 * The first thing this program does is to send: COUNT datagrams "MARKER N", or the
 * SYN of one connection, over which "MARKER" follows. Then it sleeps for ever, so
 * that the container stays. Static and small: a few system calls after exec.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

union address {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static long long now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

int main(int argc, char **argv)
{
	union address a = {.v4 = {.sin_family = AF_INET}};
	socklen_t len = sizeof(a.v4);
	char text[256];
	int fd, count, gap, n, r = 0;
	long long start = now_us();

	if (argc < 5)
		return 2;
	a.v4.sin_port = htons((uint16_t)atoi(argv[3]));
	if (inet_pton(AF_INET, argv[2], &a.v4.sin_addr) != 1) {
		memset(&a, 0, sizeof(a));
		a.v6.sin6_family = AF_INET6;
		a.v6.sin6_port = htons((uint16_t)atoi(argv[3]));
		len = sizeof(a.v6);
		if (inet_pton(AF_INET6, argv[2], &a.v6.sin6_addr) != 1)
			return 2;
	}
	count = argc > 5 ? atoi(argv[5]) : 1;
	gap = argc > 6 ? atoi(argv[6]) : 1000;
	if (!strcmp(argv[1], "tcp")) {
		fd = socket(a.sa.sa_family, SOCK_STREAM, 0);
		r = connect(fd, &a.sa, len);
		n = snprintf(text, sizeof(text), "%s 0\n", argv[4]);
		if (r == 0 && write(fd, text, (size_t)n) < 0)
			r = -1;
	} else {
		fd = socket(a.sa.sa_family, SOCK_DGRAM, 0);
		for (int i = 0; i < count; i++) {
			n = snprintf(text, sizeof(text), "%s %d\n", argv[4], i);
			if (sendto(fd, text, (size_t)n, 0, &a.sa, len) < 0)
				r = -1;
			if (i + 1 < count)
				usleep((useconds_t)gap);
		}
	}
	/* for the test: when main began, and how long it took until all was sent or connected */
	printf("%lld %lld %d\n", start, now_us() - start, r);
	fflush(stdout);
	for (;;)
		pause();
}
