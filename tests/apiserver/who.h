// SPDX-License-Identifier: Apache-2.0
// who.h - who asks: bearer tokens, client certificates, and the files that clients read.
//
// World: host, tests. Pure: no (files). Owns: the authority, its server's TLS context, the tokens.
//
// In the folder: ca.crt, token, kubeconfig (a service account's token), admin.kubeconfig (a client
// certificate), server.crt and server.key for a proxy in front, and serviceaccount/{token,ca.crt,namespace} as a pod finds them.
#pragma once

#include "tests/apiserver/cert.h"
#include "tests/apiserver/http.h"

struct identity {
	char user[256];
	char groups[4][256]; // "" ends them
};

struct who {
	char dir[4096];
	char account[128]; // "NAMESPACE:NAME"
	char token[64]; // what is good now
	unsigned int tokens;
	struct cert authority, server, admin;
	SSL_CTX *tls;
};

// account: "NAMESPACE:NAME" of the service account that the token is of.
int who_init(struct who *who, const char *dir, const char *account, struct err *reterr);
int who_write(struct who *who, const char *addr, uint16_t port, struct err *reterr);
void who_fini(struct who *who);

// Another token is good from now on, and the one before is not. write: the files have the new one.
int who_rotate(struct who *who, bool write, struct err *reterr);

// False: credentials that are none (401). Nobody is system:anonymous.
bool who_asks(const struct who *who, struct conn *conn, const struct request *request,
	      struct identity *ret);
