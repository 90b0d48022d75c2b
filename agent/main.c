// SPDX-License-Identifier: Apache-2.0
// main.c - bulkheadd: options, rooms in order, the loop, rooms in reverse.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/log.h"
#include "agent/daemon/daemon.h"
#include "commit.h"

LOG_ROOM("main");

static int run(const struct config *config)
{
	struct daemon *daemon = calloc(1, sizeof(*daemon));
	struct err err = { 0 };
	int r;

	if (!daemon)
		return EXIT_FAILURE;
	r = daemon_open(daemon, config, &err);
	if (r < 0) {
		log_error("%s", err.text);
		free(daemon);
		return EXIT_FAILURE;
	}
	log_info("bulkheadd %s (%s) on node '%s'", VERSION, COMMIT, config->node);
	r = daemon_run(daemon);
	daemon_close(daemon);
	free(daemon);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int cleanup(const struct config *config)
{
	struct err err = { 0 };

	if (daemon_cleanup(config, &err) < 0) {
		log_error("--cleanup: %s", err.text);
		return EXIT_FAILURE;
	}
	log_info("nothing of Bulkhead is left on this node");
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct config config;
	struct err err = { 0 };
	int r;

	signal(SIGPIPE, SIG_IGN);
	r = config_parse(&config, argc, argv, &err);
	if (r < 0) {
		fprintf(stderr, "bulkheadd: %s\nTry 'bulkheadd --help'.\n", err.text);
		config_fini(&config);
		return 2;
	}
	if (r > 0)
		return EXIT_SUCCESS;
	log_set_json(config.log_format == 1);
	if (log_set_levels(config.log_level) < 0) {
		fprintf(stderr, "bulkheadd: --log-level '%s': say error, warn, info or debug, or ROOM=LEVEL\n",
			config.log_level);
		r = 2;
	} else if (config.version) {
		printf("bulkheadd %s (%s), abi %d\n", VERSION, COMMIT, BH_ABI_VERSION);
		r = EXIT_SUCCESS;
	} else {
		r = config.cleanup ? cleanup(&config) : run(&config);
	}
	config_fini(&config);
	return r;
}
