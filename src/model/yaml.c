/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/yaml.h>

#include <inttypes.h>
#include <string.h>

/* Whether S can stand without quotes anywhere and means itself: a small, safe alphabet and none of YAML's words. */
static bool is_plain(const char *s)
{
	static const char *const words[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"};
	size_t n = strlen(s);

	if (n == 0 || s[0] < 'a' || s[0] > 'z' ||
		strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-_./") != n)
		return false;
	for (size_t i = 0; i < BH_ARRAY_SIZE(words); i++)
		if (strcmp(s, words[i]) == 0)
			return false;
	return true;
}

/* Code point of the UTF-8 sequence at *S (valid: libyaml made it), moving on. */
static uint32_t next_char(const unsigned char **s)
{
	const unsigned char *p = *s;
	size_t len = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	uint32_t ch = len == 1 ? p[0] : p[0] & (0x7fu >> len);
	size_t i;

	for (i = 1; i < len && (p[i] & 0xc0) == 0x80; i++)
		ch = ch << 6 | (p[i] & 0x3f);
	*s = p + i;
	return ch;
}

/* Everything that YAML's reader refuses raw, breaks lines or hides is escaped. */
void bh_yaml_put_text(struct bh_buf *out, const char *text)
{
	const unsigned char *s = (const unsigned char *)text, *start;

	if (is_plain(text)) {
		bh_buf_puts(out, text);
		return;
	}
	bh_buf_puts(out, "\"");
	while (*s) {
		uint32_t ch;

		start = s;
		ch = next_char(&s);
		if (ch == '"' || ch == '\\')
			bh_buf_printf(out, "\\%c", (int)ch);
		else if (ch >= 0x20 && ch < 0x7f)
			bh_buf_printf(out, "%c", (int)ch);
		else if (ch < 0xa1)
			bh_buf_printf(out, "\\x%02" PRIx32, ch);
		else if ((ch >= 0x2000 && ch <= 0x206f) || ch == 0x061c || ch == 0xfeff || ch == 0xfffe || ch == 0xffff ||
			(ch >= 0xd800 && ch <= 0xf8ff))
			bh_buf_printf(out, "\\u%04" PRIx32, ch);
		else if (ch > 0xffff)
			bh_buf_printf(out, "\\U%08" PRIx32, ch);
		else
			bh_buf_putn(out, (const char *)start, (size_t)(s - start));
	}
	bh_buf_puts(out, "\"");
}

void bh_yaml_put_refs(struct bh_buf *out, const char *name, const struct bh_zone_ref *v, size_t n)
{
	bh_buf_printf(out, "%s: %s", name, n > 1 ? "[" : "");
	for (size_t i = 0; i < n; i++) {
		_cleanup_buf_ struct bh_buf one = {0};

		bh_buf_printf(&one, "%s%s%s", v[i].name, v[i].value ? ":" : "", v[i].value ? v[i].value : "");
		bh_buf_puts(out, i ? ", " : "");
		if (one.err)
			out->err = one.err;
		else
			bh_yaml_put_text(out, one.s);
	}
	bh_buf_puts(out, n > 1 ? "]" : "");
}

void bh_yaml_put_rule(struct bh_buf *out, const struct bh_rule *rule, bool is_expect)
{
	static const char *const values[] = {
		[BH_VALUES_EQUAL] = "equal", [BH_VALUES_DIFFERENT] = "different", [BH_VALUES_ANY] = "any"};
	char text[BH_PORT_TEXT];

	bh_buf_puts(out, "  - {");
	bh_yaml_put_refs(out, "from", rule->from.v, rule->from.n);
	bh_buf_puts(out, ", ");
	bh_yaml_put_refs(out, "to", rule->to.v, rule->to.n);
	for (size_t i = 0; i < rule->ports.n; i++)
		bh_buf_printf(out, "%s%s", i ? ", " : ", ports: [", bh_port_text(&rule->ports.v[i], text));
	bh_buf_puts(out, rule->ports.n ? "]" : "");
	if (rule->has_values)
		bh_buf_printf(out, ", values: %s", values[rule->values]);
	if (is_expect)
		bh_buf_printf(out, ", verdict: %s", rule->expect_accept ? "accept" : "deny");
	bh_buf_puts(out, "}\n");
}
