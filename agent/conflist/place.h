// SPDX-License-Identifier: Apache-2.0
// place.h - Bulkhead's plugin in a node's folders: the program, and the entry in the configuration that a runtime takes.
//
// World: host. Pure: no (files). Owns: nothing. Nothing here is kept in memory or beside the files: what is done
// and what is to do is read from them each time, so it may be called whenever something may have changed.
//
// Files of others are replaced by rename with mode and owner kept, and only if they are as they were read. A
// symbolic link is followed to a file of the same folder, which is changed in its place; others are refused.
#pragma once

#include <stdbool.h>

#include "agent/base/err.h"

#define PLACE_CONF_DIR "/etc/cni/net.d"
#define PLACE_BIN_DIR "/opt/cni/bin"

struct placed {
	char file[256]; // of others, that a runtime takes; "": none is there
	unsigned changes; // files that were changed, or would have to be
};

// Puts bulkhead-cni into bin_dir, in one step, unless the same is there. source NULL: the one beside the program
// that runs; if there is none, what is in bin_dir stays. -ENOENT: neither is there. Tells whether it wrote, or with
// only_look would have to.
int place_plugin(const char *bin_dir, const char *source, bool only_look, bool *retchanged,
		 struct err *reterr);

// Whether a runtime finds bulkhead-cni there.
bool place_has_plugin(const char *bin_dir);

// Puts the entry into the configuration that a runtime takes, and takes it out of all others. `only_look` changes
// nothing; with entry NULL any entry is fine then. 0; -ENOENT: there is no configuration yet; -EINVAL: there is one
// into which it cannot come, the sentence names the file; -ESTALE: it was changed meanwhile; -errno of files.
int place_entry(const char *conf_dir, const char *entry, bool only_look, struct placed *ret,
		struct err *reterr);

// Takes the entry out of every configuration, then the program away. Goes on past what fails and says the first;
// the program stays while a configuration may name it. A folder that is NULL is left out.
int place_remove(const char *conf_dir, const char *bin_dir, struct placed *ret, struct err *reterr);
