/* SPDX-License-Identifier: Apache-2.0 */
/* The host, examined: needs no daemon, changes nothing, and goes as far as who asks may look. */
#include "doctor.h"

#include <bulkhead/config.h>
#include <bulkhead/control.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define DOCKER_SOCKET "/run/docker.sock"
#define PODMAN_SOCKET "/run/podman/podman.sock"

static json_t *check_json(const struct bh_doctor *d, enum bh_check c)
{
	const struct bh_check_info *i = &bh_checks[c];

	return json_pack("{s:s, s:s, s:s, s:o, s:s, s:o, s:s}", "id", i->id, "group", bh_check_group_name(i->group), "result", bh_result_name(d->v[c].result),
		"seen", bh_json_text(d->v[c].seen), "why", i->why, "fix", bh_json_text(d->v[c].fix ? d->v[c].fix : i->fix), "reference", i->reference);
}

json_t *bh_doctor_json(const struct bh_doctor *d, const struct bh_doctor_facts *f, const struct bh_doctor_where *where)
{
	json_t *checks = json_array(), *counts = json_object();
	bool ok = checks && counts;

	for (enum bh_check c = 0; c < BH_CHECK_MAX && ok; c++)
		ok = json_array_append_new(checks, check_json(d, c)) == 0;
	for (enum bh_result r = 0; r < BH_RESULT_MAX && ok; r++)
		ok = json_object_set_new(counts, bh_result_name(r), json_integer((json_int_t)d->n[r])) == 0;
	if (!ok) {
		json_decref(checks);
		json_decref(counts);
		return NULL;
	}
	return json_pack("{s:i, s:b, s:{s:o, s:o, s:o}, s:o, s:o, s:o}", "version", 1, "root", geteuid() == 0, "runtime", "kind",
		f->dockerd.answer_err < 0 ? json_null() : json_string(f->dockerd.podman ? "podman" : "docker"), "socket", bh_json_text(where->docker),
		"version", bh_json_text(f->dockerd.version), "config", bh_json_text(where->config), "counts", counts, "checks", checks);
}

/* --skip ID,ID. */
static int skip(struct bh_cli *cli, struct bh_doctor_policy *p)
{
	const char *s = cli->option[BH_OPTION_SKIP];
	const char *names[BH_CHECK_MAX];

	for (enum bh_check c = 0; c < BH_CHECK_MAX; c++)
		names[c] = bh_checks[c].id;
	while (s) {
		const size_t n = strcspn(s, ",");
		enum bh_check c = bh_check_find(s, n);
		char word[64];
		const char *near;

		if (c == BH_CHECK_MAX) {
			snprintf(word, sizeof(word), "%.*s", (int)(n < 63 ? n : 63), s);
			near = bh_near(word, names, BH_CHECK_MAX);
			if (near)
				bh_cli_error(cli, "--skip: no check '%s': did you mean '%s'?", word, near);
			else
				bh_cli_error(cli, "--skip: no check '%s': bulkhead doctor shows their names", word);
			return BH_EXIT_USAGE;
		}
		p->skip[c] = true;
		s = s[n] ? s + n + 1 : NULL;
	}
	return BH_EXIT_OK;
}

/* The configuration, for `doctor` in it. One that was asked for must be valid; what ails the usual one is a finding. */
static int configuration(struct bh_cli *cli, const char *path, struct bh_doctor_policy *p, struct bh_doctor_facts *f)
{
	_cleanup_(bh_policy_freep) struct bh_policy *policy = NULL;
	_cleanup_buf_ struct bh_buf text = {0};
	struct bh_diags diags = {0};
	int code = BH_EXIT_OK;

	f->config_err = bh_config_load(path, BH_CONFIG_CONF_D, &policy, &diags);
	if (f->config_err == 0)
		*p = policy->doctor;
	bh_vec_foreach(g, &diags.v)
		if (f->config_err < 0 && g->severity == BH_SEVERITY_ERROR && !f->config_error) {
			bh_buf_puts(&text, g->file);
			if (g->line)
				bh_buf_printf(&text, ":%u:%u", g->line, g->column);
			bh_buf_printf(&text, ": %s", g->message);
			if (bh_buf_steal(&text, &f->config_error) < 0)
				f->config_err = -ENOMEM;
		}
	if (f->config_err < 0 && cli->option[BH_OPTION_CONFIG]) {
		if (bh_diags_print(&diags, &text) == 0 && text.n > 0)
			fputs(text.s, cli->err);
		bh_cli_error(cli, "%s: not valid: correct it, then ask again", path);
		code = BH_EXIT_USAGE;
	}
	bh_diags_clear(&diags);
	return code;
}

static int examine(struct bh_cli *cli, const struct bh_doctor_where *where, struct bh_doctor_policy *p, struct bh_doctor_facts *f)
{
	_cleanup_(bh_doctor_freep) struct bh_doctor *d = NULL;
	int r = bh_doctor_look_host(f);

	if (r == 0)
		r = bh_doctor_look_docker(f, where);
	if (r == 0)
		r = bh_doctor_look_files(f, where);
	if (r == 0)
		r = bh_doctor_look_patches(f);
	if (r == 0) {
		bh_doctor_try_kernel(f);
		r = bh_doctor_judge(f, p, &d);
	}
	if (r == 0) {
		json_t *doc = bh_doctor_json(d, f, where);

		r = doc ? bh_writer_put(&cli->writer, doc, bh_doctor_text, NULL) : -ENOMEM;
		json_decref(doc);
	}
	if (r == -ENOMEM)
		bh_cli_error(cli, "out of memory");
	return r < 0 || d->n[BH_RESULT_FAIL] > 0 ? 1 : BH_EXIT_OK;
}

int bh_verb_doctor(struct bh_cli *cli)
{
	const bool podman = access(DOCKER_SOCKET, F_OK) < 0 && access(PODMAN_SOCKET, F_OK) == 0;
	const struct bh_doctor_where where = {
		.docker = cli->option[BH_OPTION_DOCKER] ? cli->option[BH_OPTION_DOCKER] : podman ? PODMAN_SOCKET : DOCKER_SOCKET,
		.control = cli->socket,
		.config = cli->option[BH_OPTION_CONFIG] ? cli->option[BH_OPTION_CONFIG] : BH_CONFIG_FILE,
	};
	struct bh_doctor_facts facts = {.socket = where.docker};
	struct bh_doctor_policy policy = {0};
	int code = configuration(cli, where.config, &policy, &facts);

	if (code == BH_EXIT_OK)
		code = skip(cli, &policy);
	if (code == BH_EXIT_OK)
		code = examine(cli, &where, &policy, &facts);
	bh_doctor_facts_clear(&facts);
	return code;
}
