/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces that several of Docker's answers share: published ports, labels. */
#ifndef BULKHEAD_RUNTIME_DOCKER_PARTS_H
#define BULKHEAD_RUNTIME_DOCKER_PARTS_H

#include "docker_decode.h"

#include <jansson.h>

typedef __typeof__(((struct bh_container *)NULL)->published) bh_published_vec;

/* Appends one published port to a vector of struct bh_published. TYPE "tcp", "udp", "sctp"; another one is passed over. IP "" or NULL: every
 * address of both families. 0, -EBADMSG for an address that is none, -ENOMEM. */
#define bh_docker_publish(vec, type, ip, host_port, port)                                          \
	bh_docker_publish_(&(vec)->v, &(vec)->n, &(vec)->cap, type, ip, host_port, port)
int bh_docker_publish_(struct bh_published **v, size_t *n, size_t *cap, const char *type, const char *ip,
	uint16_t host_port, uint16_t port);
/* Sorts and drops what stands twice: Docker lists ports in another order each time. */
#define bh_docker_publish_sort(vec) ((vec)->n = bh_docker_publish_sort_((vec)->v, (vec)->n))
size_t bh_docker_publish_sort_(struct bh_published *v, size_t n);

/* An object of strings; NULL is an empty one. 0, -EBADMSG, -ENOMEM; RET was empty. */
int bh_docker_labels_decode(const json_t *o, struct bh_docker_labels *ret);

/* docker_posture.c: of an image's inspection. 0, -EBADMSG, -ENOMEM; RET was zero, and stays so on failure. */
int bh_docker_image_facts_decode(const json_t *o, struct bh_image_facts *ret);
/* docker_registries.c: of GET /info. The same. */
int bh_docker_registries_decode(const json_t *info, struct bh_registries *ret);

#endif
