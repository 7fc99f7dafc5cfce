/* SPDX-License-Identifier: Apache-2.0 */
/* The parsers of how a daemon is set: dockerd_told.c what it was told, dockerd.c what it answers. */
#ifndef BULKHEAD_RUNTIME_DOCKERD_H
#define BULKHEAD_RUNTIME_DOCKERD_H

#include <bulkhead/dockerd.h>

/* Words that each end with a NUL, as in /proc/PID/cmdline. Adds the settings that are known here; `config-file` among them. 0, -ENOMEM, -EBADMSG. */
int bh_dockerd_decode_cmdline(const char *text, size_t n, struct bh_dockerd *d);
/* daemon.json: adds all that it has. 0, -ENOMEM, -EBADMSG with nothing added. */
int bh_dockerd_decode_config(const char *text, size_t n, struct bh_dockerd *d);

/* Answers to GET /info, /version and /networks/bridge. 0, -ENOMEM, -EBADMSG. */
int bh_dockerd_decode_info(const char *text, size_t n, struct bh_dockerd *d);
int bh_dockerd_decode_version(const char *text, size_t n, struct bh_dockerd *d);
int bh_dockerd_decode_icc(const char *text, size_t n, struct bh_dockerd *d);

#endif
