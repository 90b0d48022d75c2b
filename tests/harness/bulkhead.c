// SPDX-License-Identifier: Apache-2.0
#include "tests/harness/bulkhead.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

#include "agent/cli/cli.h"

#define WORDS_MAX 64
#define PATHS_MAX 8

struct result bulkhead_run(const char *line, const char *folder)
{
	struct result result = { 0 };
	_cleanup_free_ char *copy = strdup(line);
	char *argv[WORDS_MAX], *rest = copy, paths[PATHS_MAX][PATH_MAX + 64];
	size_t out_len, err_len, npaths = 0;
	FILE *out = open_memstream(&result.out, &out_len);
	FILE *err = open_memstream(&result.err, &err_len);
	int argc = 0;

	for (char *word; (word = strsep(&rest, " "));) {
		assert(argc + 1 < WORDS_MAX && npaths < PATHS_MAX);
		if (*word == '@') {
			snprintf(paths[npaths], sizeof(paths[0]), "%s/%s", folder, word + 1);
			word = paths[npaths++];
		}
		argv[argc++] = word;
	}
	argv[argc] = NULL;
	result.status = cli_run(argc, argv, out, err, "abc");
	fclose(out);
	fclose(err);
	return result;
}

void result_fini(struct result *result)
{
	free(result->out);
	free(result->err);
}
