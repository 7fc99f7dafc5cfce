/* SPDX-License-Identifier: Apache-2.0 */
/* The parsers of docker_dns.c. What dockerd was told was told by root. */
#ifndef BULKHEAD_RUNTIME_DOCKER_DNS_H
#define BULKHEAD_RUNTIME_DOCKER_DNS_H

#include <bulkhead/buf.h>
#include <bulkhead/runtime.h>

#define BH_DOCKER_CMDLINE_MAX (128u << 10)

/* Words that each end with a NUL, as in /proc/PID/cmdline (proc(5)). Adds the addresses of --dns to RET; *RET_CONFIG is the value
 * of --config-file, inside of TEXT, where there is one. 0, -ENOMEM, -EBADMSG. */
int bh_docker_dns_cmdline(const char *text, size_t n, struct bh_addrs *ret, const char **ret_config);
/* daemon.json: adds those of "dns". 0, -ENOMEM, -EBADMSG. */
int bh_docker_dns_config(const char *text, size_t n, struct bh_addrs *ret);

/* The command line of the dockerd that listens at SOCKET. 0; -ESRCH when who it is cannot be seen; -errno. */
int bh_dockerd_cmdline(const char *socket_path, struct bh_buf *ret);

#endif
