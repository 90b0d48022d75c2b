// SPDX-License-Identifier: Apache-2.0
#include "tests/apiserver/cert.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>

#define VALID_SEC (24 * 3600)

static int extend(X509 *x509, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	int ok;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, issuer, x509, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	ok = extension && X509_add_ext(x509, extension, -1);
	X509_EXTENSION_free(extension);
	return ok ? 0 : -EINVAL;
}

static void entry(X509_NAME *name, const char *field, const char *value)
{
	if (value)
		X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const unsigned char *)value,
					   -1, -1, 0);
}

static int begin(const char *name, const char *organization, struct cert *ret)
{
	uint64_t serial;

	ret->key = EVP_EC_gen("P-256");
	ret->x509 = X509_new();
	if (!ret->key || !ret->x509 || RAND_bytes((unsigned char *)&serial, sizeof(serial)) != 1)
		return -ENOMEM;
	X509_set_version(ret->x509, X509_VERSION_3);
	ASN1_INTEGER_set_uint64(X509_get_serialNumber(ret->x509), serial >> 1);
	X509_gmtime_adj(X509_getm_notBefore(ret->x509), -60);
	X509_gmtime_adj(X509_getm_notAfter(ret->x509), VALID_SEC);
	X509_set_pubkey(ret->x509, ret->key);
	entry(X509_get_subject_name(ret->x509), "O", organization);
	entry(X509_get_subject_name(ret->x509), "CN", name);
	return 0;
}

int cert_authority(const char *name, struct cert *ret)
{
	*ret = (struct cert){ 0 };
	if (begin(name, NULL, ret) < 0 ||
	    !X509_set_issuer_name(ret->x509, X509_get_subject_name(ret->x509)) ||
	    extend(ret->x509, ret->x509, NID_basic_constraints, "critical,CA:TRUE") < 0 ||
	    extend(ret->x509, ret->x509, NID_key_usage, "critical,keyCertSign,digitalSignature") <
		    0 ||
	    extend(ret->x509, ret->x509, NID_subject_key_identifier, "hash") < 0 ||
	    !X509_sign(ret->x509, ret->key, EVP_sha256())) {
		cert_fini(ret);
		return -EINVAL;
	}
	return 0;
}

int cert_sign(const struct cert *authority, const char *name, const char *organization,
	      const char *names, struct cert *ret)
{
	*ret = (struct cert){ 0 };
	if (begin(name, organization, ret) < 0 ||
	    !X509_set_issuer_name(ret->x509, X509_get_subject_name(authority->x509)) ||
	    extend(ret->x509, authority->x509, NID_key_usage, "critical,digitalSignature") < 0 ||
	    extend(ret->x509, authority->x509, NID_ext_key_usage,
		   names ? "serverAuth" : "clientAuth") < 0 ||
	    (names && extend(ret->x509, authority->x509, NID_subject_alt_name, names) < 0) ||
	    !X509_sign(ret->x509, authority->key, EVP_sha256())) {
		cert_fini(ret);
		return -EINVAL;
	}
	return 0;
}

void cert_fini(struct cert *cert)
{
	EVP_PKEY_free(cert->key);
	X509_free(cert->x509);
	*cert = (struct cert){ 0 };
}

static char *text(BIO *bio, int ok)
{
	char *data, *copy = NULL;
	long n = BIO_get_mem_data(bio, &data);

	if (ok)
		copy = strndup(data, (size_t)n);
	BIO_free(bio);
	return copy;
}

char *cert_pem(const struct cert *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());

	return text(bio, PEM_write_bio_X509(bio, cert->x509));
}

char *cert_key_pem(const struct cert *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());

	return text(bio, PEM_write_bio_PrivateKey(bio, cert->key, NULL, NULL, 0, NULL, NULL));
}

SSL_CTX *cert_server(const struct cert *server, const struct cert *authority)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (!ctx)
		return NULL;
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"standin", 7);
	if (SSL_CTX_use_certificate(ctx, server->x509) != 1 ||
	    SSL_CTX_use_PrivateKey(ctx, server->key) != 1 ||
	    SSL_CTX_add_client_CA(ctx, authority->x509) != 1 ||
	    X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), authority->x509) != 1) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

void cert_server_old(SSL_CTX *ctx)
{
	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_cipher_list(ctx, "ALL:@SECLEVEL=0");
	SSL_CTX_set_min_proto_version(ctx, TLS1_1_VERSION);
	SSL_CTX_set_max_proto_version(ctx, TLS1_1_VERSION);
}
