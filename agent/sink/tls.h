// SPDX-License-Identifier: Apache-2.0
// tls.h - a client's side of TLS over a socket that does not block, and in words why it failed.
//
// World: host. Pure: no (reads certificates, the socket). Owns: nothing between calls. SIGPIPE must be ignored.
//
// TLS 1.2 or later, and the peer's certificate must be good for its name: there is no way to turn that off.
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "agent/base/cleanup.h"
#include "agent/base/err.h"

struct tls {
	const char *ca; // file of certificates to trust; NULL: the system's
	const char *cert, *key; // files, for a peer that wants to know who this is; NULL: none
	const char *server_name; // what the peer's certificate has to be for; NULL: the host
};

// Files are read anew at each call, so that certificates may be exchanged while the agent runs. -EINVAL with a
// sentence that names the option.
int tls_client_new(const struct tls *tls, const char *host, SSL **ret, struct err *reterr);
DEFINE_CLEANUP(SSL *, SSL_free)

// What happened is in the return: bytes; -EAGAIN, and *retwrite says whether it waits for writing (else reading);
// -EPIPE: the peer closed; -EPROTO with a sentence. Errors of the socket keep their -errno.
int tls_handshake(SSL *ssl, bool *retwrite, struct err *reterr);
ssize_t tls_read(SSL *ssl, void *buf, size_t bytes, bool *retwrite, struct err *reterr);
ssize_t tls_write(SSL *ssl, const void *buf, size_t bytes, bool *retwrite, struct err *reterr);
