// SPDX-License-Identifier: Apache-2.0
// tls.c - a context that trusts what it was told to, for one peer's name.
#include "agent/sink/tls.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

DEFINE_CLEANUP(SSL_CTX *, SSL_CTX_free)

static const char *reason(unsigned long error)
{
	const char *text = error ? ERR_reason_error_string(error) : NULL;

	return text ? text : "unknown error";
}

// ---- what was configured ---------------------------------------------------------------------------------------------

// The oldest error names the cause; none is left for others to find.
static int refuse(struct err *reterr, const char *option, const char *value)
{
	unsigned long error = ERR_get_error();

	ERR_clear_error();
	return err_set(reterr, -EINVAL, "%s: cannot use '%s': %s", option, value, reason(error));
}

static int load(SSL_CTX *ctx, const struct tls *tls, struct err *reterr)
{
	if (tls->ca && SSL_CTX_load_verify_locations(ctx, tls->ca, NULL) != 1)
		return refuse(reterr, "ca", tls->ca);
	if (!tls->ca && SSL_CTX_set_default_verify_paths(ctx) != 1)
		return refuse(reterr, "ca", "the system's");
	if (!tls->cert != !tls->key)
		return err_set(reterr, -EINVAL, "cert and key: one is no use without the other");
	if (!tls->cert)
		return 0;
	if (SSL_CTX_use_certificate_chain_file(ctx, tls->cert) != 1)
		return refuse(reterr, "cert", tls->cert);
	if (SSL_CTX_use_PrivateKey_file(ctx, tls->key, SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(ctx) != 1)
		return refuse(reterr, "key", tls->key);
	return 0;
}

// An address is looked for among the certificate's addresses, and is no name to ask a server for.
static bool expect(SSL *ssl, const char *name)
{
	if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1)
		return true;
	ERR_clear_error();
	return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

int tls_client_new(const struct tls *tls, const char *host, SSL **ret, struct err *reterr)
{
	_cleanup_(SSL_CTX_freep) SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	_cleanup_(SSL_freep) SSL *ssl = NULL;
	const char *name = tls->server_name ? tls->server_name : host;
	int r;

	ERR_clear_error();
	if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1)
		return err_set(reterr, -ENOMEM, "no memory for TLS");
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	r = load(ctx, tls, reterr);
	if (r < 0)
		return r;
	ssl = SSL_new(ctx); // holds the context
	if (!ssl)
		return err_set(reterr, -ENOMEM, "no memory for TLS");
	if (!expect(ssl, name))
		return refuse(reterr, "server-name", name);
	*ret = TAKE_PTR(ssl);
	return 0;
}

// ---- what happens ----------------------------------------------------------------------------------------------------

static int failed(SSL *ssl, struct err *reterr)
{
	unsigned long error = ERR_get_error();
	long verdict = SSL_get_verify_result(ssl);

	ERR_clear_error();
	if (verdict != X509_V_OK)
		return err_set(reterr, -EPROTO, "its certificate is refused: %s", X509_verify_cert_error_string(verdict));
	return err_set(reterr, -EPROTO, "TLS: %s", reason(error));
}

static int outcome(SSL *ssl, int r, bool *retwrite, struct err *reterr)
{
	int error = errno;

	switch (SSL_get_error(ssl, r)) {
	case SSL_ERROR_NONE:
		return r;
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		*retwrite = SSL_want_write(ssl);
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return -EPIPE;
	case SSL_ERROR_SYSCALL:
		return error ? -error : -EPIPE;
	default:
		return failed(ssl, reterr);
	}
}

static int clamp(size_t bytes)
{
	return bytes < INT_MAX ? (int)bytes : INT_MAX;
}

int tls_handshake(SSL *ssl, bool *retwrite, struct err *reterr)
{
	ERR_clear_error();
	errno = 0;
	return outcome(ssl, SSL_connect(ssl), retwrite, reterr);
}

ssize_t tls_read(SSL *ssl, void *buf, size_t bytes, bool *retwrite, struct err *reterr)
{
	ERR_clear_error();
	errno = 0;
	return outcome(ssl, SSL_read(ssl, buf, clamp(bytes)), retwrite, reterr);
}

ssize_t tls_write(SSL *ssl, const void *buf, size_t bytes, bool *retwrite, struct err *reterr)
{
	ERR_clear_error();
	errno = 0;
	return outcome(ssl, SSL_write(ssl, buf, clamp(bytes)), retwrite, reterr);
}
