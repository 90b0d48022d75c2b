// SPDX-License-Identifier: Apache-2.0
#include "tests/apiserver/who.h"

#include <errno.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/cleanup.h"
#include "agent/base/file.h"

static int put(const struct who *who, const char *name, const char *text, struct err *reterr)
{
	char path[4200];
	int r;

	snprintf(path, sizeof(path), "%s/%s", who->dir, name);
	r = file_write(path, text, strlen(text), 0600);
	return r < 0 ? err_set(reterr, r, "%s: %s", path, strerror(-r)) : 0;
}

static char *base64(const char *text)
{
	size_t len = strlen(text);
	char *out = malloc(len * 4 / 3 + 8);

	EVP_EncodeBlock((unsigned char *)out, (const unsigned char *)text, (int)len);
	return out;
}

static int write_tokens(struct who *who, struct err *reterr)
{
	int r = put(who, "token", who->token, reterr);

	return r < 0 ? r : put(who, "serviceaccount/token", who->token, reterr);
}

int who_init(struct who *who, const char *dir, const char *account, struct err *reterr)
{
	char path[4200];

	*who = (struct who){ 0 };
	snprintf(who->dir, sizeof(who->dir), "%s", dir);
	snprintf(who->account, sizeof(who->account), "%s", account);
	snprintf(path, sizeof(path), "%s/serviceaccount", dir);
	mkdir(dir, 0700);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_set(reterr, -errno, "%s: %s", path, strerror(errno));
	snprintf(who->token, sizeof(who->token), "token-%u", ++who->tokens);
	if (cert_authority("stand-in authority", &who->authority) < 0 ||
	    cert_sign(&who->authority, "kube-apiserver", NULL,
		      "DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:::1",
		      &who->server) < 0 ||
	    cert_sign(&who->authority, "admin", "system:masters", NULL, &who->admin) < 0)
		return err_set(reterr, -EINVAL, "certificates cannot be made");
	who->tls = cert_server(&who->server, &who->authority);
	return who->tls ? 0 : err_set(reterr, -EINVAL, "the certificates cannot be used");
}

void who_fini(struct who *who)
{
	cert_fini(&who->authority);
	cert_fini(&who->server);
	cert_fini(&who->admin);
	SSL_CTX_free(who->tls);
	*who = (struct who){ 0 };
}

static int write_kubeconfig(const struct who *who, const char *name, const char *server,
			    const char *ca, const char *user, struct err *reterr)
{
	_cleanup_free_ char *text = NULL;

	if (asprintf(
		    &text,
		    "apiVersion: v1\nkind: Config\ncurrent-context: standin\n"
		    "clusters:\n- name: standin\n  cluster: {server: \"%s\", certificate-authority-data: %s}\n"
		    "contexts:\n- name: standin\n  context: {cluster: standin, user: standin}\n"
		    "users:\n- name: standin\n  user: %s\n",
		    server, ca, user) < 0)
		return -ENOMEM;
	return put(who, name, text, reterr);
}

int who_write(struct who *who, const char *addr, uint16_t port, struct err *reterr)
{
	_cleanup_free_ char *ca = cert_pem(&who->authority), *cert = cert_pem(&who->admin);
	_cleanup_free_ char *key = cert_key_pem(&who->admin), *ca64 = base64(ca),
			    *cert64 = base64(cert);
	_cleanup_free_ char *key64 = base64(key), *user = NULL, *by_token = NULL;
	_cleanup_free_ char *own = cert_pem(&who->server), *own_key = cert_key_pem(&who->server);
	char server[128], ns[128];
	int r;

	snprintf(ns, sizeof(ns), "%.*s", (int)strcspn(who->account, ":"), who->account);
	snprintf(server, sizeof(server), strchr(addr, ':') ? "https://[%s]:%u" : "https://%s:%u",
		 addr, port);
	if (asprintf(&user, "{client-certificate-data: %s, client-key-data: %s}", cert64, key64) <
		    0 ||
	    asprintf(&by_token, "{tokenFile: \"%s/token\"}", who->dir) < 0)
		return -ENOMEM;
	if ((r = put(who, "ca.crt", ca, reterr)) < 0 ||
	    (r = put(who, "serviceaccount/ca.crt", ca, reterr)) < 0 ||
	    (r = put(who, "serviceaccount/namespace", ns, reterr)) < 0 ||
	    (r = put(who, "server.crt", own, reterr)) < 0 ||
	    (r = put(who, "server.key", own_key, reterr)) < 0 ||
	    (r = write_tokens(who, reterr)) < 0 ||
	    (r = write_kubeconfig(who, "kubeconfig", server, ca64, by_token, reterr)) < 0)
		return r;
	return write_kubeconfig(who, "admin.kubeconfig", server, ca64, user, reterr);
}

int who_rotate(struct who *who, bool write, struct err *reterr)
{
	snprintf(who->token, sizeof(who->token), "token-%u", ++who->tokens);
	return write ? write_tokens(who, reterr) : 0;
}

static void account(const struct who *who, struct identity *ret)
{
	snprintf(ret->user, sizeof(ret->user), "system:serviceaccount:%s", who->account);
	strcpy(ret->groups[0], "system:serviceaccounts");
	snprintf(ret->groups[1], sizeof(ret->groups[1]), "system:serviceaccounts:%.*s",
		 (int)strcspn(who->account, ":"), who->account);
	strcpy(ret->groups[2], "system:authenticated");
}

bool who_asks(const struct who *who, struct conn *conn, const struct request *request,
	      struct identity *ret)
{
	const char *header = evhttp_find_header(&request->headers, "Authorization");

	*ret = (struct identity){ 0 };
	if (header) {
		if (strncmp(header, "Bearer ", 7) || strcmp(header + 7, who->token))
			return false;
		account(who, ret);
		return true;
	}
	if (conn_subject(conn, ret->user, sizeof(ret->user), ret->groups[0],
			 sizeof(ret->groups[0]))) {
		strcpy(ret->groups[*ret->groups[0] ? 1 : 0], "system:authenticated");
		return true;
	}
	strcpy(ret->user, "system:anonymous");
	strcpy(ret->groups[0], "system:unauthenticated");
	return true;
}
