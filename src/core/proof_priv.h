/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the proof share. */
#ifndef BULKHEAD_CORE_PROOF_PRIV_H
#define BULKHEAD_CORE_PROOF_PRIV_H

#include "compile_priv.h"
#include "judge_priv.h"

#include <bulkhead/proof.h>

/* Of a zone of containers: two ends on the first bridge, one on the second. */
#define PROOF_PORTS 3

/* proof_outside.c: who is not on a container bridge. Needs the judge. 0 or -ENOMEM. */
int proof_outside_add(struct bh_proof *p);

/* proof_probes.c: the packets, by all ends. 0 or -ENOMEM. */
int proof_probes_add(struct bh_proof *p);

/* Appends an end. NULL for no memory. */
struct bh_proof_end *proof_end_add(struct bh_proof *p, enum bh_proof_place place, size_t inst);

#endif
