// SPDX-License-Identifier: Apache-2.0
// config.h - which API server, and as whom: a pod's service account or a kubeconfig.
//
// World: host, one thread. Pure: no (reads files, the environment). Owns: the secrets; they are wiped when freed.
//
// Whatever is a file (token, CA, client certificate and key) is read again when it has changed, as kubelet and
// others rotate them. Nothing here opens a connection.
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "agent/base/cleanup.h"
#include "agent/base/err.h"

#define KUBE_SERVICE_ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"
#define KUBE_SECRET_MAX (256u << 10) // bytes of one token, certificate or bundle

// Text from a file (path is set) or from the configuration itself; text NULL: there is none.
struct kube_secret {
	char *path;
	char *text;
	size_t len;
	struct stat seen; // the file as it was when it was read
};

struct kube_config {
	char *host; // "HOST:PORT" of the server, always by https
	char *prefix; // of every path: "" or "/k8s/clusters/c-1"
	char *server_name; // whose certificate is expected, if not the host's; NULL: the host's
	char *proxy; // NULL: none. The environment is not asked
	char *namespace; // of the service account or the context; NULL: not said
	struct kube_secret ca; // PEM; none: what the system trusts
	struct kube_secret cert, key; // PEM; none: no client certificate
	struct kube_secret token;
};

// As a pod: KUBERNETES_SERVICE_HOST and _PORT of the environment, and token, ca.crt and namespace in `folder`.
int kube_config_in_cluster(const char *folder, struct kube_config **ret, struct err *reterr);

// The current context of a kubeconfig, which the caller has turned into JSON. Relative paths start at `folder`.
// -EINVAL: reterr names what is missing or cannot be used: exec and auth-provider plugins, passwords,
// insecure-skip-tls-verify, a server that is not https.
int kube_config_read(struct json_object *kubeconfig, const char *folder, struct kube_config **ret,
		     struct err *reterr);

void kube_config_free(struct kube_config *config); // NULL is fine
DEFINE_CLEANUP(struct kube_config *, kube_config_free)

// Reads the files that have changed. 0; a file that cannot be read keeps what it said last: -errno of the first
// such one, and reterr names it.
int kube_config_refresh(struct kube_config *config, struct err *reterr);
