/* SPDX-License-Identifier: Apache-2.0 */
/* Live, on a terminal, by ncurses. */
#include "top.h"

#include <errno.h>
#include <ncurses.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STATUS_TIMEOUT_MS 15000
#define FIRST_MS 500		/* the first figures soon */
#define INTERVAL_MS 2000
#define CTRL_C 3
#define ESCAPE 27

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Two looks and what is between. */
struct looks {
	struct bh_cli *cli;
	json_t *before, *top;
	double at;
	char trouble[160];	/* why there is no newer one, or "" */
};

/* Looks; the exit code that a failure means. */
static int look(struct looks *l, bool quiet)
{
	struct bh_error err = {0};
	json_t *doc = NULL;
	int code = bh_cli_ask(l->cli, "status", NULL, STATUS_TIMEOUT_MS, &doc, quiet, &err);
	double at = now();

	if (code != BH_EXIT_OK) {
		snprintf(l->trouble, sizeof(l->trouble), "%.150s", err.msg);
		return code;
	}
	l->trouble[0] = '\0';
	if (l->before && at > l->at) {
		json_t *top = bh_top_between(l->before, doc, at - l->at);

		if (!top) {
			json_decref(doc);
			snprintf(l->trouble, sizeof(l->trouble), "out of memory");
			return 1;
		}
		json_decref(l->top);
		l->top = top;
	}
	json_decref(l->before);
	l->before = doc;
	l->at = at;
	return BH_EXIT_OK;
}

static void looks_clear(struct looks *l)
{
	json_decref(l->before);
	json_decref(l->top);
}

static attr_t attribute(enum bh_style style, bool colour)
{
	static const short pairs[] = {[BH_GOOD] = 1, [BH_WARN] = 2, [BH_BAD] = 3};

	switch (style) {
	case BH_BOLD:
		return A_BOLD;
	case BH_DIM:
		return A_DIM;
	case BH_GOOD:
	case BH_WARN:
	case BH_BAD:
		return (colour ? (attr_t)COLOR_PAIR(pairs[style]) : 0) | (style == BH_BAD ? A_BOLD : 0);
	case BH_PLAIN:
		break;
	}
	return A_NORMAL;
}

static int show(const struct looks *l, bool colour)
{
	int height, width, r;
	struct bh_screen screen = {0};

	getmaxyx(stdscr, height, width);
	r = bh_top_draw(l->top, *l->trouble ? l->trouble : l->top ? NULL : "measuring", (unsigned)width, (unsigned)height, &screen);
	erase();
	for (size_t i = 0; r == 0 && i < screen.lines.n; i++) {
		attr_t a = attribute(screen.lines.v[i].style, colour);

		attron(a);
		mvaddstr((int)i, 0, screen.lines.v[i].text);
		attroff(a);
	}
	bh_screen_clear(&screen);
	refresh();
	return r;
}

static bool begin(bool *ret_colour)
{
	const char *no = getenv("NO_COLOR");

	*ret_colour = has_colors() && !(no && *no) && start_color() == OK && use_default_colors() == OK && init_pair(1, COLOR_GREEN, -1) == OK &&
		init_pair(2, COLOR_YELLOW, -1) == OK && init_pair(3, COLOR_RED, -1) == OK;
	curs_set(0);	/* not every terminal can */
	return raw() == OK && noecho() == OK && keypad(stdscr, TRUE) == OK;
}

/* Until q. The first look is there. */
static int run(struct looks *l)
{
	double due = now() + FIRST_MS / 1e3;
	bool colour;

	if (!begin(&colour))
		return 1;
	for (;;) {
		double left = due - now();
		int key;

		if (left <= 0) {
			int code = look(l, true);

			if (code == BH_EXIT_DENIED || code == BH_EXIT_USAGE)
				return code;
			due = now() + INTERVAL_MS / 1e3;
			left = INTERVAL_MS / 1e3;
		}
		if (show(l, colour) < 0)
			return 1;
		timeout((int)(left * 1e3) + 1);
		key = getch();
		if (key == 'q' || key == 'Q' || key == CTRL_C || key == ESCAPE)
			return BH_EXIT_OK;
		if (key == ERR && due - now() > 0.05)
			usleep(50000);	/* a signal, or a terminal that has gone: no hurry until SIGHUP comes */
	}
}

static int no_terminal(struct bh_cli *cli)
{
	bh_cli_error(cli, "top draws on a terminal, and this is none (TERM=%s): bulkhead top --json prints one measurement",
		getenv("TERM") ? getenv("TERM") : "");
	return BH_EXIT_USAGE;
}

/* One measurement, for who has no terminal. */
static int once(struct looks *l)
{
	int code;

	usleep(INTERVAL_MS * 1000);
	code = look(l, false);
	if (code == BH_EXIT_OK && (!l->top || bh_writer_put(&l->cli->writer, l->top, NULL, NULL) < 0))
		code = 1;
	return code;
}

int bh_verb_top(struct bh_cli *cli)
{
	const char *term = getenv("TERM");
	struct looks l = {.cli = cli};
	SCREEN *screen = NULL;
	int code;

	if (!cli->writer.json && (!isatty(fileno(cli->writer.out)) || !isatty(STDIN_FILENO) || !term || !*term || strcmp(term, "dumb") == 0))
		return no_terminal(cli);
	code = look(&l, false);
	if (code == BH_EXIT_OK && cli->writer.json) {
		code = once(&l);
	} else if (code == BH_EXIT_OK) {
		screen = newterm(NULL, cli->writer.out, stdin);
		if (screen) {
			code = run(&l);
			endwin();
			delscreen(screen);
			if (code != BH_EXIT_OK)
				bh_cli_error(cli, "top ended: %s", *l.trouble ? l.trouble : "the terminal takes no more");
		} else {
			code = no_terminal(cli);
		}
	}
	looks_clear(&l);
	return code;
}
