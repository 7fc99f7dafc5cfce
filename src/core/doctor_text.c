/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration files of others, as far as one question about each needs. */
#include <bulkhead/doctor.h>

#include <string.h>

#define BLANKS " \t\r"

/* The line at *S, without its end and the blanks around it; *S moves behind it. False at the end. */
static bool next_line(const char **s, const char **line, size_t *n)
{
	const char *end = strchrnul(*s, '\n');

	if (!**s)
		return false;
	*line = *s + strspn(*s, BLANKS);
	*n = *line < end ? (size_t)(end - *line) : 0;
	while (*n && strchr(BLANKS, (*line)[*n - 1]))
		(*n)--;
	*s = *end ? end + 1 : end;
	return true;
}

static bool is_comment(const char *line, size_t n)
{
	return n == 0 || line[0] == '#' || (n > 1 && line[0] == '/' && line[1] == '/');
}

void bh_doctor_uncomment(const char *text, struct bh_buf *out)
{
	const char *line;
	size_t n;

	while (next_line(&text, &line, &n))
		if (!is_comment(line, n)) {
			bh_buf_putn(out, line, n);
			bh_buf_puts(out, "\n");
		}
}

int bh_doctor_unattended(const char *text)
{
	static const char name[] = "APT::Periodic::Unattended-Upgrade";
	const char *line;
	int found = -1;
	size_t n;

	while (next_line(&text, &line, &n)) {
		const char *s = line + sizeof(name) - 1;

		if (is_comment(line, n) || n < sizeof(name) || strncmp(line, name, sizeof(name) - 1) != 0)
			continue;
		s += strspn(s, BLANKS);
		if (*s == '"' || (*s >= '0' && *s <= '9'))
			found = s[*s == '"'] != '0' && s[*s == '"'] != '"';
	}
	return found;
}

bool bh_doctor_is_set(const char *text, const char *name, const char *value)
{
	const size_t name_n = strlen(name), value_n = strlen(value);
	const char *line;
	bool found = false;
	size_t n;

	while (next_line(&text, &line, &n)) {
		if (n > 7 && strncmp(line, "export ", 7) == 0) {
			line += 7;
			n -= 7;
		}
		if (n <= name_n || strncmp(line, name, name_n) != 0 || line[name_n] != '=')
			continue;
		line += name_n + 1;
		n -= name_n + 1;
		if (n >= 2 && (line[0] == '"' || line[0] == '\'') && line[n - 1] == line[0]) {
			line++;
			n -= 2;
		}
		found = n == value_n && strncmp(line, value, n) == 0;
	}
	return found;
}

bool bh_doctor_flushes(const char *text)
{
	const char *line;
	size_t n;

	while (next_line(&text, &line, &n))
		if (!is_comment(line, n) && n >= 5 && strncmp(line, "flush", 5) == 0) {
			const char *s = line + 5 + strspn(line + 5, BLANKS);

			if (s > line + 5 && s + 7 <= line + n && strncmp(s, "ruleset", 7) == 0)
				return true;
		}
	return false;
}
