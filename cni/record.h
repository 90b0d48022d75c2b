// SPDX-License-Identifier: Apache-2.0
// record.h - one small file for each attachment: the truth about which there are, for an agent that starts later.
//
// World: host. Pure: no (files). Owns: what is in the folder, together with the agent, which removes records of
// another boot. Files are <container>@<interface>, 0600; names that begin with a dot are being written. Every way to
// the folder is free of symlinks and of folders that somebody else may write.
#pragma once

#include "agent/base/err.h"

#define RECORD_BYTES 16384 // a record is far shorter

// The folder, which is made if it is missing. An fd; -CNI_IO: the sentence names the folder that will not do.
int record_folder(const char *path, struct err *reterr);
// Same, but nothing is made: -ENOENT when there is none.
int record_folder_found(const char *path, struct err *reterr);

int record_write(int folder, const char *container, const char *ifname, const char *text,
		 struct err *reterr);
int record_remove(int folder, const char *container, const char *ifname,
		  struct err *reterr); // absent is fine

// Removes the records of this network for which keep() says no, and those that nobody can read. Goes on past errors and
// returns the last one.
typedef int (*record_keep_fn)(void *arg, const char *container, const char *ifname);
int record_sweep(int folder, const char *network, record_keep_fn keep, void *arg,
		 struct err *reterr);
