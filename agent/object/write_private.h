// SPDX-License-Identifier: Apache-2.0
// write_private.h - what the writers of the kinds share.
//
// World: host, one thread. Pure: yes. Owns: nothing.
#pragma once

#include "agent/base/jsonw.h"
#include "agent/object/object.h"

void write_cidr(struct jsonw *w, const char *key, const struct bh_cidr *cidr);
void write_selector(struct jsonw *w, const char *key, const struct selector *selector);

// write_policy.c: the field `spec`
void write_netpol(struct jsonw *w, const struct object *object);
void write_clusternetpol(struct jsonw *w, const struct object *object);
