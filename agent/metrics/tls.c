// SPDX-License-Identifier: Apache-2.0
// tls.c - a context of OpenSSL by what stat says of its files.
#include "agent/metrics/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/log.h"

LOG_ROOM("metrics");

enum { FILE_CERT, FILE_KEY, FILE_CA, FILES };

// What changes when a file is written or another one takes its place.
struct stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime;
};

struct tls {
	const struct tls_files *files;
	SSL_CTX *context;
	struct stamp stamps[FILES]; // as they were looked at last
	struct err problem;
};

static void stamp_of(const char *path, struct stamp *ret)
{
	struct stat st;

	memset(ret, 0, sizeof(*ret));
	if (!path || stat(path, &st) < 0)
		return;
	ret->dev = st.st_dev;
	ret->ino = st.st_ino;
	ret->size = st.st_size;
	ret->mtime = st.st_mtim;
}

// Remembers how they are. Whether they were otherwise.
static bool files_changed(struct tls *tls)
{
	const char *const paths[FILES] = { tls->files->cert, tls->files->key, tls->files->client_ca };
	struct stamp now[FILES];

	for (int i = 0; i < FILES; i++)
		stamp_of(paths[i], &now[i]);
	if (memcmp(now, tls->stamps, sizeof(now)) == 0)
		return false;
	memcpy(tls->stamps, now, sizeof(now));
	return true;
}

// OpenSSL's own reason is the last one of its queue.
static int refuse(struct err *reterr, const char *path, const char *what)
{
	const char *why = ERR_reason_error_string(ERR_peek_last_error());

	ERR_clear_error();
	return err_set(reterr, -EINVAL, "%s: %s: %s", path, what, why ? why : "it cannot be read");
}

static int load_client_ca(SSL_CTX *context, const char *path, struct err *reterr)
{
	STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(path);

	if (!names || SSL_CTX_load_verify_locations(context, path, NULL) != 1) {
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return refuse(reterr, path, "no certificates of clients' CAs");
	}
	SSL_CTX_set_client_CA_list(context, names);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return 0;
}

static int load(SSL_CTX *context, const struct tls_files *files, struct err *reterr)
{
	if (SSL_CTX_use_certificate_chain_file(context, files->cert) != 1)
		return refuse(reterr, files->cert, "no certificate");
	if (SSL_CTX_use_PrivateKey_file(context, files->key, SSL_FILETYPE_PEM) != 1)
		return refuse(reterr, files->key, "no key of this certificate");
	return files->client_ca ? load_client_ca(context, files->client_ca, reterr) : 0;
}

static int context_new(const struct tls_files *files, SSL_CTX **ret, struct err *reterr)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	int r;

	if (!context || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1) {
		SSL_CTX_free(context);
		return err_set(reterr, -ENOMEM, "out of memory");
	}
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(context, 0);
	SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
	r = load(context, files, reterr);
	if (r < 0) {
		SSL_CTX_free(context);
		return r;
	}
	*ret = context;
	return 0;
}

int tls_new(const struct tls_files *files, struct tls **ret, struct err *reterr)
{
	_cleanup_(tls_freep) struct tls *tls = calloc(1, sizeof(*tls));
	int r;

	if (!tls)
		return err_set(reterr, -ENOMEM, "out of memory");
	tls->files = files;
	files_changed(tls);
	r = context_new(files, &tls->context, reterr);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(tls);
	return 0;
}

void tls_free(struct tls *tls)
{
	if (!tls)
		return;
	SSL_CTX_free(tls->context);
	free(tls);
}

static void reload(struct tls *tls)
{
	SSL_CTX *context;

	if (context_new(tls->files, &context, &tls->problem) < 0) {
		log_warn("%s; what was read before is used", tls->problem.text);
		return;
	}
	SSL_CTX_free(tls->context); // connections that have it keep it
	tls->context = context;
	tls->problem.text[0] = 0;
	log_info("read certificate and key anew");
}

SSL *tls_accept(struct tls *tls)
{
	if (files_changed(tls))
		reload(tls);
	return SSL_new(tls->context);
}

const char *tls_problem(const struct tls *tls)
{
	return tls->problem.text[0] ? tls->problem.text : NULL;
}
