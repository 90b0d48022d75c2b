// SPDX-License-Identifier: Apache-2.0
// config.c - service accounts and kubeconfigs, and the files that they name.
#include "agent/kube/config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "agent/base/file.h"

#define HTTPS "https://"

DEFINE_CLEANUP(EVP_ENCODE_CTX *, EVP_ENCODE_CTX_free)

static int no_memory(struct err *reterr)
{
	return err_set(reterr, -ENOMEM, "out of memory");
}

// ---- secrets --------------------------------------------------------------------------------------------------

static void secret_set(struct kube_secret *secret, char *text, size_t len)
{
	if (secret->text)
		explicit_bzero(secret->text, secret->len);
	free(secret->text);
	secret->text = text;
	secret->len = len;
}

static void secret_fini(struct kube_secret *secret)
{
	secret_set(secret, NULL, 0);
	free(secret->path);
}

// Control characters would end the header that a token stands in.
static int check_token(const char *path, char *text, size_t *len, struct err *reterr)
{
	while (*len && strchr(" \t\r\n", text[*len - 1]))
		text[--*len] = '\0';
	for (size_t i = 0; i < *len; i++)
		if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
			return err_set(reterr, -EINVAL, "%s: a token has no blanks inside", path);
	if (!*len)
		return err_set(reterr, -EINVAL, "%s: the token is empty", path);
	return 0;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

// What cannot be read, or holds nothing, stays as it was: it is tried again at the next request.
static int secret_refresh(struct kube_secret *secret, bool is_token, struct err *reterr)
{
	_cleanup_free_ char *text = NULL;
	struct stat now;
	size_t len;
	int r;

	if (!secret->path)
		return 0;
	if (stat(secret->path, &now) < 0)
		return err_set(reterr, -errno, "%s: %s", secret->path, strerror(errno));
	if (secret->text && same_file(&now, &secret->seen))
		return 0;
	r = file_read(secret->path, KUBE_SECRET_MAX, &text, &len);
	if (r < 0)
		return err_set(reterr, r, "%s: %s", secret->path, strerror(-r));
	if (!len)
		return err_set(reterr, -EINVAL, "%s: is empty", secret->path);
	r = is_token ? check_token(secret->path, text, &len, reterr) : 0;
	if (r < 0)
		return r;
	secret_set(secret, TAKE_PTR(text), len);
	secret->seen = now;
	return 0;
}

int kube_config_refresh(struct kube_config *config, struct err *reterr)
{
	struct kube_secret *const secrets[] = { &config->token, &config->ca, &config->cert,
						&config->key };
	int first = 0;

	for (size_t i = 0; i < ARRAY_SIZE(secrets); i++) {
		int r = secret_refresh(secrets[i], secrets[i] == &config->token,
				       first < 0 ? NULL : reterr);

		if (first >= 0 && r < 0)
			first = r;
	}
	return first;
}

void kube_config_free(struct kube_config *config)
{
	if (!config)
		return;
	secret_fini(&config->token);
	secret_fini(&config->ca);
	secret_fini(&config->cert);
	secret_fini(&config->key);
	free(config->host);
	free(config->prefix);
	free(config->server_name);
	free(config->proxy);
	free(config->namespace);
	free(config);
}

// ---- in a pod -----------------------------------------------------------------------------------------------------

static int in_folder(const char *folder, const char *name, char **ret)
{
	if (asprintf(ret, "%s%s%s", *name == '/' ? "" : folder, *name == '/' ? "" : "/", name) < 0) {
		*ret = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int read_namespace(struct kube_config *config, const char *folder)
{
	_cleanup_free_ char *path = NULL;
	size_t len;

	if (in_folder(folder, "namespace", &path) < 0)
		return -ENOMEM;
	if (file_read(path, 256, &config->namespace, &len) < 0)
		return 0; // nobody needs it to read
	config->namespace[strcspn(config->namespace, " \t\r\n")] = '\0';
	return 0;
}

int kube_config_in_cluster(const char *folder, struct kube_config **ret, struct err *reterr)
{
	_cleanup_(kube_config_freep) struct kube_config *config = calloc(1, sizeof(*config));
	const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
	bool v6 = host && strchr(host, ':');
	int r;

	if (!config)
		return no_memory(reterr);
	if (!host || !*host || !port || !*port)
		return err_set(reterr, -ENOENT,
			       "this is no pod (KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not "
			       "set): say kube:KUBECONFIG");
	if (asprintf(&config->host, "%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "", port) < 0)
		config->host = NULL;
	config->prefix = strdup("");
	if (!config->host || !config->prefix || in_folder(folder, "token", &config->token.path) < 0 ||
	    in_folder(folder, "ca.crt", &config->ca.path) < 0 || read_namespace(config, folder) < 0)
		return no_memory(reterr);
	r = kube_config_refresh(config, reterr);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(config);
	return 0;
}

// ---- kubeconfig --------------------------------------------------------------------------------------------------------

// One named entry that is being read.
struct entry {
	struct json_object *json; // of its inner object; NULL: there is none
	const char *what; // "cluster"
	const char *name;
	const char *folder;
};

// A text field: NULL when absent or empty.
static int entry_text(const struct entry *entry, const char *key, const char **ret,
		      struct err *reterr)
{
	struct json_object *value = json_object_object_get(entry->json, key);

	*ret = NULL;
	if (!value)
		return 0;
	if (!json_object_is_type(value, json_type_string))
		return err_set(reterr, -EINVAL, "%s \"%s\": %s: is no text", entry->what, entry->name,
			       key);
	if (json_object_get_string_len(value))
		*ret = json_object_get_string(value);
	return 0;
}

static int entry_copy(const struct entry *entry, const char *key, char **ret, struct err *reterr)
{
	const char *text;
	int r = entry_text(entry, key, &text, reterr);

	if (r < 0 || !text)
		return r;
	*ret = strdup(text);
	return *ret ? 0 : no_memory(reterr);
}

static bool entry_is_true(const struct entry *entry, const char *key)
{
	return json_object_get_boolean(json_object_object_get(entry->json, key));
}

// {"users": [{"name": ..., "user": {...}}, ...]}
static int entry_find(struct json_object *root, const char *list, struct entry *entry,
		      struct err *reterr)
{
	struct json_object *array = json_object_object_get(root, list);
	size_t n = json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *one = json_object_array_get_idx(array, i), *name, *inner;

		if (!json_object_is_type(one, json_type_object))
			continue;
		name = json_object_object_get(one, "name");
		inner = json_object_object_get(one, entry->what);
		if (!name || strcmp(json_object_get_string(name), entry->name) ||
		    !json_object_is_type(inner, json_type_object))
			continue;
		entry->json = inner;
		return 0;
	}
	return err_set(reterr, -EINVAL, "there is no %s \"%s\"", entry->what, entry->name);
}

static int decode(const struct entry *entry, const char *key, const char *text,
		  struct kube_secret *secret, struct err *reterr)
{
	_cleanup_(EVP_ENCODE_CTX_freep) EVP_ENCODE_CTX *ctx = EVP_ENCODE_CTX_new();
	size_t in = strlen(text);
	_cleanup_free_ char *out = malloc(in + 1);
	int len = 0, more = 0;

	if (!ctx || !out)
		return no_memory(reterr);
	if (in > KUBE_SECRET_MAX)
		return err_set(reterr, -EINVAL, "%s \"%s\": %s: is longer than %u bytes", entry->what,
			       entry->name, key, KUBE_SECRET_MAX);
	EVP_DecodeInit(ctx);
	if (EVP_DecodeUpdate(ctx, (unsigned char *)out, &len, (const unsigned char *)text, (int)in) < 0 ||
	    EVP_DecodeFinal(ctx, (unsigned char *)out + len, &more) < 0 || !(len + more))
		return err_set(reterr, -EINVAL, "%s \"%s\": %s: is no base64", entry->what, entry->name,
			       key);
	out[len + more] = '\0';
	secret_set(secret, TAKE_PTR(out), (size_t)(len + more));
	return 0;
}

// KEY-data goes before KEY, which names a file.
static int read_pem(const struct entry *entry, const char *key, struct kube_secret *secret,
		    struct err *reterr)
{
	const char *data, *path;
	char data_key[64];
	int r;

	snprintf(data_key, sizeof(data_key), "%s-data", key);
	r = entry_text(entry, data_key, &data, reterr);
	if (r >= 0)
		r = entry_text(entry, key, &path, reterr);
	if (r < 0)
		return r;
	if (data)
		return decode(entry, data_key, data, secret, reterr);
	if (path && in_folder(entry->folder, path, &secret->path) < 0)
		return no_memory(reterr);
	return 0;
}

// "https://HOST[:PORT][/PREFIX]"
static int read_server(const struct entry *entry, struct kube_config *config, struct err *reterr)
{
	const char *url, *path, *colon, *bracket;
	int r = entry_text(entry, "server", &url, reterr);
	size_t host, prefix;

	if (r < 0)
		return r;
	if (!url || strncmp(url, HTTPS, strlen(HTTPS)))
		return err_set(reterr, -EINVAL,
			       "cluster \"%s\": server: \"%s\" does not begin with https://: without TLS "
			       "nobody could tell whose policies they are",
			       entry->name, url ? url : "");
	url += strlen(HTTPS);
	host = strcspn(url, "/");
	path = url + host;
	if (!host || strcspn(url, "@?#% \t\r\n") < strlen(url))
		return err_set(reterr, -EINVAL, "cluster \"%s\": server: no address of a server",
			       entry->name);
	prefix = strlen(path);
	while (prefix && path[prefix - 1] == '/')
		prefix--;
	colon = memrchr(url, ':', host);
	bracket = memrchr(url, ']', host);
	if (asprintf(&config->host, "%.*s%s", (int)host, url,
		     colon && (!bracket || colon > bracket) ? "" : ":443") < 0)
		config->host = NULL;
	config->prefix = strndup(path, prefix);
	return config->host && config->prefix ? 0 : no_memory(reterr);
}

static int read_cluster(const struct entry *entry, struct kube_config *config, struct err *reterr)
{
	int r = read_server(entry, config, reterr);

	if (r >= 0 && entry_is_true(entry, "insecure-skip-tls-verify"))
		return err_set(reterr, -EINVAL,
			       "cluster \"%s\": insecure-skip-tls-verify is not followed: give the "
			       "server's certificate-authority",
			       entry->name);
	if (r >= 0)
		r = entry_copy(entry, "tls-server-name", &config->server_name, reterr);
	if (r >= 0)
		r = entry_copy(entry, "proxy-url", &config->proxy, reterr);
	if (r >= 0)
		r = read_pem(entry, "certificate-authority", &config->ca, reterr);
	return r;
}

// Ways to prove who one is that are not ours: each with what to do instead.
static int refuse_user(const struct entry *entry, struct err *reterr)
{
	static const struct {
		const char *key, *why;
	} refused[] = {
		{ "exec", "plugins are not run by a node agent" },
		{ "auth-provider", "plugins are not run by a node agent" },
		{ "username", "servers take no passwords any more" },
		{ "password", "servers take no passwords any more" },
		{ "as", "the agent speaks as itself only" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (json_object_object_get(entry->json, refused[i].key))
			return err_set(reterr, -EINVAL,
				       "user \"%s\": %s is not supported (%s): use a client certificate, a "
				       "token or a tokenFile",
				       entry->name, refused[i].key, refused[i].why);
	return 0;
}

static int read_token(const struct entry *entry, struct kube_config *config, struct err *reterr)
{
	struct kube_secret *token = &config->token;
	const char *text, *path;
	int r = entry_text(entry, "token", &text, reterr);

	if (r >= 0)
		r = entry_text(entry, "tokenFile", &path, reterr);
	if (r < 0)
		return r;
	if (path) // it is rotated: it goes before
		return in_folder(entry->folder, path, &token->path) < 0 ? no_memory(reterr) : 0;
	if (!text)
		return 0;
	token->text = strdup(text);
	if (!token->text)
		return no_memory(reterr);
	token->len = strlen(text);
	r = check_token("token", token->text, &token->len, reterr);
	return r < 0 ? err_wrap(reterr, "user \"%s\"", entry->name) : 0;
}

static int read_user(const struct entry *entry, struct kube_config *config, struct err *reterr)
{
	int r = refuse_user(entry, reterr);
	bool cert, key;

	if (r >= 0)
		r = read_pem(entry, "client-certificate", &config->cert, reterr);
	if (r >= 0)
		r = read_pem(entry, "client-key", &config->key, reterr);
	if (r >= 0)
		r = read_token(entry, config, reterr);
	if (r < 0)
		return r;
	cert = config->cert.path || config->cert.text;
	key = config->key.path || config->key.text;
	if (cert != key)
		return err_set(reterr, -EINVAL, "user \"%s\": client-%s: is missing beside client-%s",
			       entry->name, cert ? "key" : "certificate", cert ? "certificate" : "key");
	return 0;
}

static int read_context(struct json_object *root, const char *folder, struct kube_config *config,
			struct err *reterr)
{
	struct entry top = { root, "kubeconfig", "", folder }, context = { NULL, "context" };
	struct entry cluster = { NULL, "cluster", NULL, folder }, user = { NULL, "user", NULL, folder };
	int r = entry_text(&top, "current-context", &context.name, reterr);

	if (r >= 0 && !context.name)
		return err_set(reterr, -EINVAL, "current-context: is missing");
	if (r >= 0)
		r = entry_find(root, "contexts", &context, reterr);
	if (r >= 0)
		r = entry_text(&context, "cluster", &cluster.name, reterr);
	if (r >= 0)
		r = entry_text(&context, "user", &user.name, reterr);
	if (r >= 0 && (!cluster.name || !user.name))
		return err_set(reterr, -EINVAL, "context \"%s\": %s: is missing", context.name,
			       cluster.name ? "user" : "cluster");
	if (r >= 0)
		r = entry_copy(&context, "namespace", &config->namespace, reterr);
	if (r >= 0)
		r = entry_find(root, "clusters", &cluster, reterr);
	if (r >= 0)
		r = entry_find(root, "users", &user, reterr);
	if (r >= 0)
		r = read_cluster(&cluster, config, reterr);
	return r < 0 ? r : read_user(&user, config, reterr);
}

int kube_config_read(struct json_object *kubeconfig, const char *folder, struct kube_config **ret,
		     struct err *reterr)
{
	_cleanup_(kube_config_freep) struct kube_config *config = calloc(1, sizeof(*config));
	int r;

	if (!config)
		return no_memory(reterr);
	if (!json_object_is_type(kubeconfig, json_type_object))
		return err_set(reterr, -EINVAL, "is no kubeconfig");
	r = read_context(kubeconfig, folder, config, reterr);
	if (r >= 0)
		r = kube_config_refresh(config, reterr);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(config);
	return 0;
}
