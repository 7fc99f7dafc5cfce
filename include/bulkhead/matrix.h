/* SPDX-License-Identifier: Apache-2.0 */
/* Zone by zone, what the policy opens. Pure; the same answers as the compiler's, by <bulkhead/allow.h>. */
#ifndef BULKHEAD_MATRIX_H
#define BULKHEAD_MATRIX_H

#include <bulkhead/allow.h>

/* A row or a column. A family is one row and two columns: its own value and any other, which differ for those with the same `per`. Values
 * that rules name are rows and columns besides. */
struct bh_matrix_end {
	struct bh_end end;
	char *name;		/* "web", "project", "project (other)", "project:nextcloud"; safe to print */
	bool other;		/* a column only: every other value of the family */
	bool opens;		/* has a row: all but dns, metadata and `other` */
};

struct bh_matrix_cell {
	bool ours;		/* containers on either side: else nothing is decided here */
	struct bh_portset open;
	BH_VEC(size_t) rules;	/* indices into policy->allow of those that open something here, in their order */
};

struct bh_matrix {
	BH_VEC(struct bh_matrix_end) ends;	/* zones of the file in its order, then built-in ones */
	struct bh_matrix_cell *cells;		/* row by row, ends.n each; of rows that open nothing too */
};

static inline const struct bh_matrix_cell *bh_matrix_at(const struct bh_matrix *m, size_t from, size_t to)
{
	return &m->cells[from * m->ends.n + to];
}

/* P must outlive the matrix. 0, -ENOMEM, or -E2BIG with ERR. */
int bh_matrix_new(const struct bh_policy *p, struct bh_matrix **ret, struct bh_error *err);
void bh_matrix_free(struct bh_matrix *m);
BH_DEFINE_FREEP(struct bh_matrix, bh_matrix_free)

#endif
