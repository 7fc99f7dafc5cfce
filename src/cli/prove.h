/* SPDX-License-Identifier: Apache-2.0 */
/* The two halves of the verb. */
#ifndef BULKHEAD_CLI_PROVE_H
#define BULKHEAD_CLI_PROVE_H

#include "writer.h"

#include <bulkhead/proof.h>

/* What is known of a proof that was carried out. */
struct bh_proof_doc {
	const struct bh_proof *proof;
	const json_t *sources;		/* "FILE:LINE" of each rule */
	bool audit;			/* the file's mode */
	const struct bh_strv *left_out;	/* of the copy: what bulkhead did not write */
};

/* prove_text.c: the document: whether all agrees, and what does not, a row for each pair of zones and port. NULL for no memory. */
json_t *bh_proof_doc(const struct bh_proof_doc *d);
void bh_proof_text(struct bh_writer *w, const json_t *doc, void *userdata);

#endif
