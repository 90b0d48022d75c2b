// SPDX-License-Identifier: Apache-2.0
// attachment.h - what the CNI plugin says of devices: this one was given to that pod, with these addresses.
//
// World: host. Pure: attachment_parse() yes; records_*() no (files). Owns: nothing.
//
// It is the host's word, and the best evidence of whose a device is. The plugin keeps a record of each attachment in a
// folder: written before the agent is asked, removed before it is told. So the folder is the truth, also about
// what happened while no agent ran, and nobody but root may write there: what others could have written is refused.
#pragma once

#include <json-c/json.h>
#include <net/if.h>

#include "agent/base/err.h"
#include "agent/object/object.h"

#define ATTACHMENT_CONTAINER_BYTES 240 // with the name of an interface a file's name
#define RECORD_BYTES 16384 // the longest that is read
#define RECORD_VERSION 1

struct attachment {
	char container[ATTACHMENT_CONTAINER_BYTES], ifname[IFNAMSIZ];
	char ns[64], name[254];
	char uid[64]; // "": not said, and no object was matched yet; or a static pod's, which its object does not bear
	bool is_static;
	bool undecided; // no UID was said, and the API server is asked whose the name is now: it fits no object
	bool ask; // ... is to be asked
	int ifindex; // of the host's device
	int64_t made_ms; // since the boot, as its record says; 0: it does not
	uint32_t naddrs;
	struct bh_addr addrs[POD_ADDRS_MAX];
	bool told; // by the plugin itself, since its device was looked at last; else by a record
	bool due, asked; // its device is to be looked at; is being
	int64_t waits_since_ms; // endpoints_check() sees it without its pod; 0: it has it
};

// A request or a record. 0, or -EINVAL with a sentence that begins with the field.
int attachment_parse(struct json_object *json, struct attachment *ret, struct err *reterr);
// Its container and interface alone: its name.
int attachment_parse_name(struct json_object *json, struct attachment *ret, struct err *reterr);
bool attachment_same(const struct attachment *a, const struct attachment *b); // by name

// Whether the object is the one that it was made for. Where the plugin said no UID it is the first that fits:
// attachment_bind() then, and a later object of that name is another pod.
void attachment_bind(struct attachment *attachment, const char *uid); // NULL: it has none
bool attachment_fits(const struct attachment *attachment, const struct pod *pod);

bool uid_is_static(const char *uid); // the hash that a static pod has for one

// Calls found() for every record of this boot, the oldest first, removes those of another, and says what is wrong with each that
// is not used. A folder that is not there is empty.
typedef int (*record_fn)(void *arg, const struct attachment *attachment);
typedef void (*record_problem_fn)(void *arg, const char *where, const char *text);
int records_read(const char *folder, record_fn found, record_problem_fn problem, void *arg);

// Removes all records and the folder, for --cleanup. 0 also when it is not there.
int records_remove(const char *folder, struct err *reterr);
