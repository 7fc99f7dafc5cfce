/* SPDX-License-Identifier: Apache-2.0 */
/* Ownership in plain C: cleanup attributes, explicit transfer, and growing arrays. */
#ifndef BULKHEAD_MEM_H
#define BULKHEAD_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

/* Declares TYPE##_freep for use with _cleanup_(), from a FREE function that accepts NULL. */
#define BH_DEFINE_FREEP(type, freefn)                                                              \
	static inline void freefn##p(type **p)                                                     \
	{                                                                                          \
		if (*p)                                                                            \
			freefn(*p);                                                                \
	}

void bh_freep(void *pointer_to_pointer);	/* free(3) for _cleanup_() */
void bh_closep(int *fd);			/* close(2) for _cleanup_(), -1 is nothing; keeps errno */
#define _cleanup_free_ _cleanup_(bh_freep)
#define _cleanup_close_ _cleanup_(bh_closep)

/* Hands a pointer over: the local becomes NULL and so its cleanup does nothing. */
#define bh_take(p)                                                                                 \
	({                                                                                         \
		__typeof__(p) taken_ = (p);                                                        \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})

#define BH_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* A growing array of TYPE: v[0..n-1]. All zero is empty. The owner frees v (and what the items own). */
#define BH_VEC(type)                                                                               \
	struct {                                                                                   \
		type *v;                                                                           \
		size_t n, cap;                                                                     \
	}

int bh_vec_reserve_(void *v, size_t *cap, size_t want, size_t item_size);

/* Room for N items and no more, in a vector that has less: for what is kept long and does not grow. 0 or -ENOMEM. */
int bh_vec_exact_(void *v, size_t *cap, size_t n, size_t item_size);
#define bh_vec_exact(vec, n_) bh_vec_exact_(&(vec)->v, &(vec)->cap, (n_), sizeof(*(vec)->v))

/* Gives back the room that V does not use; where there is no memory for that it stays. */
void bh_vec_fit_(void *v, size_t *cap, size_t n, size_t item_size);
#define bh_vec_fit(vec) bh_vec_fit_(&(vec)->v, &(vec)->cap, (vec)->n, sizeof(*(vec)->v))

/* Appends ITEM. 0, or -ENOMEM with the vector unchanged (ITEM is still the caller's). */
#define bh_vec_push(vec, item)                                                                     \
	({                                                                                         \
		int push_r_ = bh_vec_reserve_(&(vec)->v, &(vec)->cap, (vec)->n + 1, sizeof(*(vec)->v)); \
		if (push_r_ == 0)                                                                  \
			(vec)->v[(vec)->n++] = (item);                                             \
		push_r_;                                                                           \
	})

/* Appends a zeroed item and returns a pointer to it, NULL for no memory. The pointer dies at the next push. */
#define bh_vec_add(vec)                                                                            \
	({                                                                                         \
		__typeof__((vec)->v[0]) *add_p_ = NULL;                                                \
		if (bh_vec_reserve_(&(vec)->v, &(vec)->cap, (vec)->n + 1, sizeof(*(vec)->v)) == 0) { \
			add_p_ = &(vec)->v[(vec)->n++];                                            \
			__builtin_memset(add_p_, 0, sizeof(*add_p_));                              \
		}                                                                                  \
		add_p_;                                                                            \
	})

#define bh_vec_foreach(p, vec) \
	for (__typeof__((vec)->v[0]) *p = (vec)->v; p && p < (vec)->v + (vec)->n; p++)

/* Frees the array itself, not what the items own, and empties it. */
#define bh_vec_clear(vec)                                                                          \
	do {                                                                                       \
		free((vec)->v);                                                                    \
		(vec)->v = NULL;                                                                   \
		(vec)->n = (vec)->cap = 0;                                                         \
	} while (0)

/* An owned list of owned strings. */
struct bh_strv {
	char **v;
	size_t n, cap;
};

int bh_strv_push(struct bh_strv *l, const char *s);	/* copies S; 0 or -ENOMEM */
bool bh_strv_has(const struct bh_strv *l, const char *s);
void bh_strv_clear(struct bh_strv *l);

bool bh_streq(const char *a, const char *b);		/* NULL equals only NULL */
int bh_strdup(char **dst, const char *s);		/* frees *dst, copies S (NULL gives NULL); 0 or -ENOMEM */

#endif
