/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share. */
#ifndef BULKHEAD_FLOWS_PRIV_H
#define BULKHEAD_FLOWS_PRIV_H

#include <bulkhead/flows.h>

#include <libmnl/libmnl.h>

/* Whether a whole message stands in LEFT bytes. (mnl_nlmsg_ok() takes a length beyond INT_MAX for a negative one, and is content.) */
bool flow_message_ok(const struct nlmsghdr *nlh, size_t left);

/* Attributes of a message or a nest by type, those beyond MAX left out. TB has MAX + 1 places. False when they are malformed. */
bool flow_attrs(const void *data, size_t len, const struct nlattr **tb, uint16_t max);
bool flow_nest(const struct nlattr *nest, const struct nlattr **tb, uint16_t max);
/* Numbers in network order; 0 where there is none or it is too short. */
uint8_t flow_u8(const struct nlattr *a);
uint16_t flow_be16(const struct nlattr *a);
uint32_t flow_be32(const struct nlattr *a);

/* A connection out of its attributes (CTA_*), of LEN bytes. 0 or -EBADMSG. */
int flow_attrs_decode(const void *data, size_t len, struct bh_flow *ret);

/* What stands in LEN bytes from the network header on, into D (ether_type tells which). What is cut off stays zero. */
void flow_packet_decode(const uint8_t *p, size_t len, struct bh_denied *d);

#endif
