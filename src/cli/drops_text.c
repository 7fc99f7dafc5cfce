/* SPDX-License-Identifier: Apache-2.0 */
#include "drops.h"

#include <bulkhead/mem.h>

#include <string.h>
#include <time.h>

const char *bh_age_text(json_int_t usec, char buf[BH_AGE_TEXT])
{
	static const struct {
		json_int_t seconds;
		const char *unit;
	} units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
	json_int_t age = (json_int_t)time(NULL) - usec / 1000000;
	size_t i = 0;

	if (age < 0)	/* by a clock that was put back */
		age = 0;
	while (i + 1 < BH_ARRAY_SIZE(units) && age < 2 * units[i].seconds)
		i++;
	snprintf(buf, BH_AGE_TEXT, "%lld %s", (long long)(age / units[i].seconds), units[i].unit);
	return buf;
}

const char *bh_clock_text(json_int_t usec, char buf[BH_CLOCK_TEXT])
{
	time_t t = (time_t)(usec / 1000000);
	struct tm tm;

	if (!gmtime_r(&t, &tm) || strftime(buf, BH_CLOCK_TEXT, "%H:%M:%S", &tm) == 0)
		snprintf(buf, BH_CLOCK_TEXT, "-");
	return buf;
}

char *bh_drop_end(const json_t *drop, bool other)
{
	const char *name = bh_doc_str(drop, other ? "to" : "from"), *zone = bh_doc_str(drop, other ? "to_zone" : "from_zone");
	_cleanup_buf_ struct bh_buf b = {0};
	char *text = NULL;

	bh_buf_puts(&b, name ? name : "-");
	if (name && zone && strcmp(name, zone) != 0)
		bh_buf_printf(&b, " (%s)", zone);
	return bh_buf_steal(&b, &text) < 0 ? NULL : text;
}

char *bh_drop_port(const json_t *drop)
{
	const char *proto = bh_doc_str(drop, "proto"), *port = bh_doc_str(drop, "port");
	_cleanup_buf_ struct bh_buf b = {0};
	char *text = NULL;

	bh_buf_printf(&b, "%s%s%s", proto ? proto : "-", port ? "/" : "", port ? port : "");
	return bh_buf_steal(&b, &text) < 0 ? NULL : text;
}

static bool is_noise(const json_t *drop)
{
	return bh_streq(bh_doc_str(drop, "class"), "noise");
}

static bool is_audit(const json_t *drop)
{
	return bh_streq(bh_doc_str(drop, "verdict"), "audit");
}

static void put_row(struct bh_table_text *t, const json_t *drop)
{
	_cleanup_free_ char *from = bh_drop_end(drop, false), *to = bh_drop_end(drop, true), *port = bh_drop_port(drop);
	char first[BH_AGE_TEXT], last[BH_AGE_TEXT];

	bh_table_cell(t, BH_PLAIN, from);
	bh_table_cell(t, BH_PLAIN, to);
	bh_table_cell(t, BH_PLAIN, port);
	bh_table_cell(t, is_audit(drop) ? BH_DIM : BH_WARN, bh_doc_str(drop, "class"));
	bh_table_number(t, BH_PLAIN, bh_doc_num(drop, "count"));
	bh_table_cell(t, BH_DIM, bh_age_text(bh_doc_num(drop, "first_usec"), first));
	bh_table_cell(t, BH_DIM, bh_age_text(bh_doc_num(drop, "last_usec"), last));
}

/* Those that were denied, or those that passed, after the ABOVE that stand above; how many. */
static size_t put_table(struct bh_writer *w, const json_t *denials, bool audit, size_t above)
{
	static const struct bh_column columns[] = {
		{ "FROM", false, 12 }, { "TO", false, 12 }, { "PORT", false, 8 }, { "CLASS", false, 0 }, { "COUNT", true, 0 },
		{ "FIRST", true, 0 }, { "LAST", true, 0 },
	};
	struct bh_table_text t = { .columns = columns, .n_columns = BH_ARRAY_SIZE(columns) };
	size_t n = 0, i;
	json_t *d;

	json_array_foreach(denials, i, d)
		if (!is_noise(d) && is_audit(d) == audit) {
			put_row(&t, d);
			n++;
		}
	if (n == 0)
		return 0;
	if (above)
		fputc('\n', w->out);
	bh_text_line(w, BH_BOLD, "%s (FIRST and LAST: how long ago)", audit ? "would be denied, and passed" : "denied");
	bh_table_print(w, &t);
	return n;
}

void bh_drops_text(struct bh_writer *w, const json_t *denials)
{
	json_int_t noise = 0;
	size_t n, audit, i;
	json_t *d;

	if (!json_is_array(denials)) {
		bh_text_line(w, BH_DIM, "who was denied what is known to bulkheadd alone: systemctl start bulkheadd");
		return;
	}
	n = put_table(w, denials, false, 0);
	audit = put_table(w, denials, true, n);
	json_array_foreach(denials, i, d)
		noise += is_noise(d) ? bh_doc_num(d, "count") : 0;
	if (n + audit == 0)
		bh_text_line(w, BH_DIM, "nothing was denied lately");
	if (noise)
		bh_text_line(w, BH_DIM, "and %lld frames of broadcast and multicast that nobody asked for", (long long)noise);
}
