/* SPDX-License-Identifier: Apache-2.0 */
#include "verb.h"

#include <locale.h>
#include <signal.h>

int main(int argc, char **argv)
{
	/* Only to know how wide characters are; numbers and messages stay as they are. */
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		setlocale(LC_CTYPE, "");
	signal(SIGPIPE, SIG_IGN);	/* the writer reports it */
	return bh_cli_main(argc, argv, stdout, stderr);
}
