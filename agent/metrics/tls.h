// SPDX-License-Identifier: Apache-2.0
// tls.h - certificate, key and CA of the pages' listener, read anew when their files change.
//
// World: host, one thread. Pure: no (reads files). Owns: what it read.
//
// TLS 1.2 or later, no sessions kept: each connection is judged by the files as they are then. Files that cannot be
// used, such as a key that another certificate is for yet, change nothing: what was read before goes on.
#pragma once

#include <openssl/ssl.h>

#include "agent/base/cleanup.h"
#include "agent/base/err.h"

struct tls_files {
	const char *cert, *key; // PEM; the chain in one file
	const char *client_ca; // PEM: only who has a certificate of these is answered; NULL: everybody
};

struct tls;

// files and what it points to must outlive it. -EINVAL with a sentence naming the file.
int tls_new(const struct tls_files *files, struct tls **ret, struct err *reterr);
void tls_free(struct tls *tls); // NULL is fine
DEFINE_CLEANUP(struct tls *, tls_free)

// For the next connection, the caller's; NULL: no memory.
SSL *tls_accept(struct tls *tls);

const char *tls_problem(const struct tls *tls); // why files that changed are not used; NULL: they are
