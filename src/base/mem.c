/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/mem.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

void bh_freep(void *p)
{
	free(*(void **)p);
}

void bh_closep(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

int bh_vec_reserve_(void *vec_v, size_t *cap, size_t want, size_t item_size)
{
	size_t n = *cap ? *cap : 4;

	while (n < want)
		if (__builtin_mul_overflow(n, 2, &n))
			return -ENOMEM;
	return bh_vec_exact_(vec_v, cap, want <= *cap ? want : n, item_size);
}

int bh_vec_exact_(void *vec_v, size_t *cap, size_t n, size_t item_size)
{
	size_t bytes;
	void *old, *p;

	if (n <= *cap)
		return 0;
	if (__builtin_mul_overflow(n, item_size, &bytes))
		return -ENOMEM;
	memcpy(&old, vec_v, sizeof(old));	/* the array's element type is the caller's */
	p = realloc(old, bytes);
	if (!p)
		return -ENOMEM;
	memcpy(vec_v, &p, sizeof(p));
	*cap = n;
	return 0;
}

void bh_vec_fit_(void *vec_v, size_t *cap, size_t n, size_t item_size)
{
	void *old, *p = NULL;

	if (n == *cap)
		return;
	memcpy(&old, vec_v, sizeof(old));
	if (n > 0)
		p = realloc(old, n * item_size);
	else
		free(old);
	if (n > 0 && !p)
		return;
	memcpy(vec_v, &p, sizeof(p));
	*cap = n;
}

int bh_strv_push(struct bh_strv *l, const char *s)
{
	char *copy = strdup(s);

	if (!copy)
		return -ENOMEM;
	if (bh_vec_push(l, copy) < 0) {
		free(copy);
		return -ENOMEM;
	}
	return 0;
}

bool bh_strv_has(const struct bh_strv *l, const char *s)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i], s) == 0)
			return true;
	return false;
}

void bh_strv_clear(struct bh_strv *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	bh_vec_clear(l);
}

bool bh_streq(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

int bh_strdup(char **dst, const char *s)
{
	char *copy = NULL;

	if (s) {
		copy = strdup(s);
		if (!copy)
			return -ENOMEM;
	}
	free(*dst);
	*dst = copy;
	return 0;
}
