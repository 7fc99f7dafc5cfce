/* SPDX-License-Identifier: Apache-2.0 */
/* What a shell offers after `bulkhead`, made of the table of verbs, as a script for the shell: nothing is asked of a daemon. */
#include "completion.h"

#include <string.h>

static bool takes_files(const struct bh_verb *v)
{
	return strstr(v->args, "FILE");
}

/* The words that are to be written as they are: "[zones|rules]" has two. */
static void put_words(FILE *out, const struct bh_verb *v)
{
	const char *begin = strchr(v->args, '['), *end = begin ? strchr(begin, ']') : NULL;

	if (!end || !memchr(begin, '|', (size_t)(end - begin)))
		return;
	for (const char *c = begin + 1; c < end; c++)
		fputc(*c == '|' ? ' ' : *c, out);
	fputc(' ', out);
}

static void put_options(FILE *out, const struct bh_verb *v, const struct option *options)
{
	for (const struct option *o = options; o->name; o++)
		if (o->val >= BH_OPTION_MAX || (v->options & 1u << o->val))
			fprintf(out, "--%s ", o->name);
}

/* The options that are followed by a value, as a pattern of `case`. */
static void put_valued(FILE *out, const struct option *options)
{
	const char *sep = "";

	for (const struct option *o = options; o->name; o++)
		if (o->has_arg == required_argument) {
			fprintf(out, "%s--%s", sep, o->name);
			sep = "|";
		}
}

static void bash(FILE *out, const struct bh_verb *verbs, size_t n, const struct option *options)
{
	fputs("_bulkhead()\n{\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} verb= i\n\n"
	      "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n\t\tcase ${COMP_WORDS[i]} in\n\t\t", out);
	put_valued(out, options);
	fputs(") ((i++)) ;;\n\t\t-*) ;;\n\t\t*) verb=${COMP_WORDS[i]}; break ;;\n\t\tesac\n\tdone\n"
	      "\tCOMPREPLY=()\n\tcase ${COMP_WORDS[COMP_CWORD-1]} in\n\t", out);
	put_valued(out, options);
	fputs(") return ;;\n\tesac\n\tcase $verb in\n\t'') COMPREPLY=($(compgen -W '", out);
	for (size_t i = 0; i < n; i++)
		fprintf(out, "%s ", verbs[i].name);
	fputs("--help --version' -- \"$cur\")) ;;\n", out);
	for (size_t i = 0; i < n; i++) {
		fprintf(out, "\t%s) COMPREPLY=($(compgen %s-W '", verbs[i].name, takes_files(&verbs[i]) ? "-f " : "");
		put_words(out, &verbs[i]);
		put_options(out, &verbs[i], options);
		fputs("' -- \"$cur\")) ;;\n", out);
	}
	fputs("\tesac\n}\ncomplete -o filenames -o bashdefault -F _bulkhead bulkhead\n", out);
}

static void zsh(FILE *out, const struct bh_verb *verbs, size_t n, const struct option *options)
{
	fputs("#compdef bulkhead\n\nlocal -a verbs\nverbs=(\n", out);
	for (size_t i = 0; i < n; i++)
		fprintf(out, "\t'%s:%s'\n", verbs[i].name, verbs[i].help);
	fputs(")\nif ((CURRENT == 2)); then\n\t_describe verb verbs\n\treturn\nfi\ncase $words[2] in\n", out);
	for (size_t i = 0; i < n; i++) {
		fprintf(out, "%s) ", verbs[i].name);
		if (takes_files(&verbs[i]))
			fputs("_files; ", out);
		fputs("compadd -- ", out);
		put_words(out, &verbs[i]);
		put_options(out, &verbs[i], options);
		fputs(";;\n", out);
	}
	fputs("esac\n", out);
}

static void fish(FILE *out, const struct bh_verb *verbs, size_t n, const struct option *options)
{
	fputs("complete -c bulkhead -f\n", out);
	for (size_t i = 0; i < n; i++) {
		const struct bh_verb *v = &verbs[i];

		fprintf(out, "complete -c bulkhead -n __fish_use_subcommand -a %s -d '%s'\n", v->name, v->help);
		fprintf(out, "complete -c bulkhead -n '__fish_seen_subcommand_from %s' %s-a '", v->name, takes_files(v) ? "-F " : "");
		put_words(out, v);
		fputs("'\n", out);
		for (const struct option *o = options; o->name; o++)
			if (o->val >= BH_OPTION_MAX || (v->options & 1u << o->val))
				fprintf(out, "complete -c bulkhead -n '__fish_seen_subcommand_from %s' -l %s%s\n", v->name, o->name,
					o->has_arg == required_argument ? " -r" : "");
	}
}

int bh_completion_print(FILE *out, const char *shell, const struct bh_verb *verbs, size_t n, const struct option *options)
{
	static const struct {
		const char *shell;
		void (*print)(FILE *out, const struct bh_verb *verbs, size_t n, const struct option *options);
	} shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};

	for (size_t i = 0; i < BH_ARRAY_SIZE(shells); i++)
		if (strcmp(shell, shells[i].shell) == 0) {
			shells[i].print(out, verbs, n, options);
			return 0;
		}
	return -1;
}
