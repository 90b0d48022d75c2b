// SPDX-License-Identifier: Apache-2.0
// main.c - `bulkhead`, the command line.
#include "agent/cli/cli.h"
#include "commit.h"

int main(int argc, char **argv)
{
	return cli_run(argc, argv, stdout, stderr, COMMIT);
}
