// SPDX-License-Identifier: Apache-2.0
// urls.c - the list of sinks, as an option names them: checked before there is a recorder.
#include "agent/recorder/private.h"

#include <errno.h>
#include <string.h>

#include "agent/sink/sink.h"

int recorder_each_url(const char *urls, recorder_url_fn fn, void *arg, struct err *reterr)
{
	_cleanup_free_ char *copy = urls ? strdup(urls) : NULL;
	char *rest = copy, *url;
	size_t n = 0;
	int r = 0;

	if (urls && !copy)
		return err_set(reterr, -ENOMEM, "out of memory");
	while (r >= 0 && (url = strsep(&rest, " \t\n"))) {
		if (!*url)
			continue;
		if (n++ == SINKS_MAX)
			return err_set(reterr, -E2BIG, "more than %d URLs", SINKS_MAX);
		r = fn(arg, url, reterr);
	}
	return r;
}

static int check_one(void *arg, const char *url, struct err *reterr)
{
	return sink_check(url, reterr);
}

int recorder_check_sinks(const char *urls, struct err *reterr)
{
	return recorder_each_url(urls, check_one, NULL, reterr);
}
