// SPDX-License-Identifier: Apache-2.0
// write.h - objects as manifests again, for those who are handed what was read.
//
// World: host, one thread. Pure: yes. Owns: nothing.
//
// A manifest holds what is kept of an object, in the words of the API, and `problem` beside `kind` where there is one. Of a
// policy that is not enforced as written it says what is enforced. Left out: hostPorts; that addresses are lent.
#pragma once

#include "agent/base/jsonw.h"
#include "agent/object/object.h"

bool object_writes(enum kind kind); // those of Pod, Namespace, Node and the policies
void object_write(struct jsonw *w, const struct object *object);

// What object_write() wrote: equal to what it was written of. -EBADMSG as object_parse(), -ENOMEM.
int object_read(struct json_object *json, struct object **ret, struct err *reterr);
