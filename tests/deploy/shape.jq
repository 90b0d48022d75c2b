# SPDX-License-Identifier: Apache-2.0
# What is wrong with one rendered object, a sentence each: fields that its kind does not have (a mistyped field is
# dropped by the API server, or refused), values outside of their choices. Knows the kinds and the fields that
# deploy/ uses; a new one is added here with its place in the API.

def only($where; $known): keys_unsorted[] | select(IN($known[]) | not) | "\($where): no field '\(.)'";
def text($where): select(type != "string") | "\($where): no text";
def choice($where; $values): select(IN($values[]) | not) | "\($where): '\(.)' is not one of \($values | join(", "))";
def each($where; f): to_entries[] | .key as $i | .value | f | "\($where)[\($i)]\(.)";
def quantity($where): to_entries[] | select(.value | tostring | test("^[0-9]+(m|Mi|Gi)?$") | not) | "\($where).\(.key): '\(.value)'";

def metadata: (only(".metadata"; ["name", "namespace", "labels", "annotations"])),
	(.name | text(".metadata.name")),
	(.labels // {}, .annotations // {} | to_entries[] | select(.value | type != "string") | ".metadata: \(.key) is no text");

def security($where; $pod): only($where; ["runAsUser", "runAsGroup", "runAsNonRoot", "privileged", "allowPrivilegeEscalation",
		"readOnlyRootFilesystem", "capabilities", "seccompProfile", "appArmorProfile"]),
	(.capabilities // {} | only("\($where).capabilities"; ["drop", "add"])),
	(.seccompProfile // {} | only("\($where).seccompProfile"; ["type", "localhostProfile"]),
		(.type | choice("\($where).seccompProfile.type"; ["RuntimeDefault", "Localhost"]))),
	(.appArmorProfile // {type: "Unconfined"} | .type | choice("\($where).appArmorProfile.type"; ["RuntimeDefault", "Unconfined"]));

def probe($where): only($where; ["httpGet", "initialDelaySeconds", "periodSeconds", "timeoutSeconds", "failureThreshold", "successThreshold"]),
	(.httpGet | only("\($where).httpGet"; ["host", "path", "port", "scheme"]));

def container: only(""; ["name", "image", "command", "args", "env", "securityContext", "resources", "volumeMounts", "ports",
		"livenessProbe", "readinessProbe", "startupProbe"]),
	(.securityContext | security(".securityContext"; .)),
	(.livenessProbe, .readinessProbe, .startupProbe | select(.) | probe(".probe")),
	(.resources | only(".resources"; ["requests", "limits"]),
		(.requests // {} | quantity(".resources.requests")), (.limits // {} | quantity(".resources.limits"))),
	(.ports // [] | each(".ports"; only(""; ["name", "containerPort", "hostPort", "protocol"]))),
	(.env // [] | each(".env"; only(""; ["name", "value", "valueFrom"]))),
	(.volumeMounts // [] | each(".volumeMounts"; only(""; ["name", "mountPath", "readOnly", "mountPropagation"]),
		(.mountPropagation // "None" | choice(""; ["None", "HostToContainer"]))));

def volume: only(""; ["name", "hostPath", "configMap"]),
	(.hostPath // {} | only(".hostPath"; ["path", "type"]), (.type // "Directory" | choice(".hostPath.type"; ["Directory", "DirectoryOrCreate"]))),
	(.configMap // {} | only(".configMap"; ["name"]));

def podspec: only(".spec"; ["serviceAccountName", "priorityClassName", "hostNetwork", "dnsPolicy", "hostPID", "terminationGracePeriodSeconds",
		"nodeSelector", "affinity", "tolerations", "initContainers", "containers", "volumes"]),
	(.initContainers // [] | each(".initContainers"; container)),
	(.containers | each(".containers"; container)),
	(.volumes | each(".volumes"; volume)),
	(.tolerations | each(".tolerations"; only(""; ["operator", "key", "effect"])));

def daemonset: only(""; ["apiVersion", "kind", "metadata", "spec"]),
	(.spec | only(".spec"; ["selector", "updateStrategy", "template"]),
		(.updateStrategy | only(".updateStrategy"; ["type", "rollingUpdate"]), (.rollingUpdate // {} | only(".rollingUpdate"; ["maxUnavailable"]))),
		(.selector.matchLabels as $labels | .template.metadata.labels | contains($labels) | select(not) | "the selector does not match the pods"),
		(.template | only(".template"; ["metadata", "spec"]), (.metadata | only(".metadata"; ["labels", "annotations"])), (.spec | podspec)));

def role: only(""; ["apiVersion", "kind", "metadata", "rules"]),
	(.rules | each(".rules"; only(""; ["apiGroups", "resources", "resourceNames", "verbs"]),
		(.verbs[] | choice(".verbs"; ["get", "list", "watch", "create", "update", "patch", "delete"]))));

def binding: only(""; ["apiVersion", "kind", "metadata", "roleRef", "subjects"]),
	(.roleRef | only(".roleRef"; ["apiGroup", "kind", "name"])),
	(.subjects | each(".subjects"; only(""; ["kind", "name", "namespace"])));

def service: only(""; ["apiVersion", "kind", "metadata", "spec"]),
	(.spec | only(".spec"; ["clusterIP", "selector", "ports"]),
		(.ports | each(".ports"; only(""; ["name", "port", "targetPort", "protocol"]))));

def api: {"v1/Namespace": 1, "v1/Service": 1, "v1/ServiceAccount": 1, "v1/ConfigMap": 1, "apps/v1/DaemonSet": 1,
	"rbac.authorization.k8s.io/v1/ClusterRole": 1, "rbac.authorization.k8s.io/v1/ClusterRoleBinding": 1,
	"rbac.authorization.k8s.io/v1/Role": 1, "rbac.authorization.k8s.io/v1/RoleBinding": 1};

"\(.kind) \(.metadata.name)" as $who
| ((.metadata | metadata),
   (if api["\(.apiVersion)/\(.kind)"] then empty else "no such kind: \(.apiVersion)/\(.kind)" end),
   (if .kind == "DaemonSet" then daemonset
    elif .kind == "ClusterRole" or .kind == "Role" then role
    elif .kind == "ClusterRoleBinding" or .kind == "RoleBinding" then binding
    elif .kind == "Service" then service
    elif .kind == "ConfigMap" then only(""; ["apiVersion", "kind", "metadata", "data"]), (.data[] | text(".data"))
    else only(""; ["apiVersion", "kind", "metadata"]) end))
| "\($who)\(if startswith(".") then "" else ": " end)\(.)"
