# SPDX-License-Identifier: Apache-2.0
# What is wrong between the objects of one rendered folder, a sentence each. Input: all of them, in one array.
# Argument: version.

def one($kind): map(select(.kind == $kind));
def names($kind): one($kind) | map(.metadata.name);

. as $all
| ((one("DaemonSet") | length | select(. != 1) | "\(.) DaemonSets, not one"),
   (one("Namespace")[0].metadata.labels["pod-security.kubernetes.io/enforce"] | select(. != "privileged") |
	"the namespace's Pod Security label does not let the agent in"),
   (.[] | select(.metadata.namespace and .metadata.namespace != "bulkhead-system") | "\(.kind) \(.metadata.name) is in namespace \(.metadata.namespace)"),
   ((one("ClusterRoleBinding") + one("RoleBinding"))[] |
	(.roleRef | select([.name] | inside($all | names("ClusterRole") + names("Role")) | not) | "roleRef \(.name): no such role"),
	(.subjects[] | select([.name] | inside($all | names("ServiceAccount")) | not) | "subject \(.name): no such account")),
   ((one("ClusterRole") + one("Role"))[] | .metadata.name as $name |
	(.rules[] | select([.apiGroups[], .resources[], .verbs[]] | index("*")) | "role \($name): a wildcard"),
	(select([$name] | inside($all | [(one("ClusterRoleBinding") + one("RoleBinding"))[].roleRef.name]) | not) | "role \($name) is bound to nobody")),
   (one("DaemonSet")[0].spec.template as $template | $template.spec as $pod
	| ($pod.volumes | map(.name)) as $volumes
	| [$pod.initContainers[]?, $pod.containers[]] as $containers
	| ([$pod.serviceAccountName] | inside($all | names("ServiceAccount")) | select(not) | "no such service account"),
	($pod.volumes[].configMap.name // empty | select([.] | inside($all | names("ConfigMap")) | not) | "volume: no ConfigMap \(.)"),
	($volumes - [$containers[].volumeMounts[]?.name] | .[] | "volume \(.) is mounted by nobody"),
	([$containers[].volumeMounts[]?.name] - $volumes | .[] | "no volume \(.)"),
	($template.metadata.annotations // {} | keys[] | select(startswith("container.apparmor")) | split("/")[1] |
		select([.] | inside($containers | map(.name)) | not) | "an annotation for a container '\(.)' that is not there"),
	($containers[] | .name as $name | .securityContext as $sc |
		(select(.image != "bulkhead:" + $version) | "\($name): image \(.image), but this is \($version)"),
		(select($sc.privileged != false) | "\($name): privileged"),
		(select($sc.allowPrivilegeEscalation != false) | "\($name): may gain privileges"),
		(select($sc.readOnlyRootFilesystem != true) | "\($name): its root can be written"),
		(select($sc.capabilities.drop != ["ALL"]) | "\($name): capabilities are not dropped"),
		(select($sc.seccompProfile | not) | "\($name): no seccomp profile"),
		(select(.resources.limits.memory and .resources.requests.memory | not) | "\($name): no limit of memory"))))
