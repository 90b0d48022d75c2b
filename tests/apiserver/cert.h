// SPDX-License-Identifier: Apache-2.0
// cert.h - a certificate authority that lives as long as a test, and what it signs.
//
// World: host, tests. Pure: no (random numbers, the clock). Owns: struct cert its key and certificate.
#pragma once

#include <openssl/ssl.h>

struct cert {
	EVP_PKEY *key;
	X509 *x509;
};

// Self-signed, allowed to sign.
int cert_authority(const char *name, struct cert *ret);
// What a user or a server shows: organization (may be NULL) is a client's group; names as in a certificate's
// subjectAltName: "DNS:localhost,IP:127.0.0.1", or NULL for a client's.
int cert_sign(const struct cert *authority, const char *name, const char *organization,
	      const char *names, struct cert *ret);
void cert_fini(struct cert *cert);

// PEM text; malloc'd.
char *cert_pem(const struct cert *cert);
char *cert_key_pem(const struct cert *cert);

// A server that asks for client certificates of this authority and takes clients without one.
SSL_CTX *cert_server(const struct cert *server, const struct cert *authority);
void cert_server_old(SSL_CTX *ctx); // speaks TLS 1.1 and nothing else from now on
