/* SPDX-License-Identifier: Apache-2.0 */
/* A proof is carried out: throw-away namespaces, the endpoints in them, and every packet really sent. The host's own bridges are not touched. */
#ifndef BULKHEAD_PROVE_H
#define BULKHEAD_PROVE_H

#include <bulkhead/proof.h>

/* Sends every probe of P in each pass and writes who was heard. HELD and ENFORCED (NULL: nothing is audited, that pass is left out) are from bh_proof_rules(). The calling thread is
 * in an empty network namespace afterwards and stays there; the kernel takes that away with the process. Needs CAP_SYS_ADMIN and CAP_NET_ADMIN.
 * 0, or -errno with ERR: nothing is proven then. */
int bh_prove(struct bh_proof *p, const struct bh_ruleset *held, const struct bh_ruleset *enforced, struct bh_error *err);

/* Whether this kernel has IPv6 at all (ipv6.disable=1 takes it away). */
bool bh_prove_has_ipv6(void);

/* The IP packet that stands for a probe, or frame.c's other half: which one a packet is. */
#define BH_PROVE_PACKET 96
/* A packet from the ends of PROBE, with SPORT (the identifier of an echo request) and ID. Returns its bytes. */
size_t bh_prove_packet(const struct bh_proof *p, const struct bh_probe *probe, uint16_t sport, uint32_t id, uint8_t out[BH_PROVE_PACKET]);
/* The ID in what comes after the IP header of a packet of PROTO. False when it carries none. */
bool bh_prove_id(uint8_t proto, const uint8_t *payload, size_t n, uint32_t *ret_id);

#endif
