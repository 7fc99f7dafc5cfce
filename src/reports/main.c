/* SPDX-License-Identifier: Apache-2.0 */
/* bulkhead-reports DIR KIND: started by bulkheadd, with the way to it as descriptor 3. It reads beneath DIR and nowhere else. */
#include <bulkhead/confine.h>
#include <bulkhead/mem.h>
#include <bulkhead/reports.h>

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define LINK_FD 3

static bool is_link(int fd)
{
	int type = 0;
	socklen_t n = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_SEQPACKET;
}

int main(int argc, char **argv)
{
	struct bh_error err = {0};
	struct stat may = {0};
	int kind = -1;

	for (int k = 0; argc == 3 && k <= BH_REPORTS_VERIFIED; k++)
		if (strcmp(argv[2], bh_reports_kind_name((enum bh_reports_kind)k)) == 0)
			kind = k;
	if (kind < 0 || !is_link(LINK_FD)) {
		fprintf(stderr, "bulkhead-reports: is started by bulkheadd alone\n");
		return 2;
	}
	/* What a large report takes goes back to the system: glibc would raise these by itself and keep it. */
	(void)mallopt(M_MMAP_THRESHOLD, 256 * 1024);
	(void)mallopt(M_TRIM_THRESHOLD, 512 * 1024);
	(void)signal(SIGPIPE, SIG_IGN);
	if (stat(argv[1], &may) < 0)
		may = (struct stat){0};
	if (bh_confine_privileges(false, &err) < 0 || bh_confine_files(NULL, (const char *const[]){argv[1], NULL}, &err) < 0 ||
		bh_confine_calls(BH_CALLS_REPORTS, &err) < 0 || bh_reports_follow(argv[1], &may, (enum bh_reports_kind)kind, LINK_FD, &err) < 0) {
		fprintf(stderr, "bulkhead-reports: %s\n", err.msg);
		return 1;
	}
	return 0;
}
