# SPDX-License-Identifier: Apache-2.0
# _proxy.jq - what a kube-proxy does, said as rules: reads Services, EndpointSlices and Pods with hostPorts (all
# in one array), writes input for iptables-restore ($mode iptables) or nft ($mode nft) for one family ($v 4 or 6).
#
# The chains and maps have the shapes and names that kube-proxy's have in each mode, and the port mapping
# plugin's for hostPorts. One thing is added, in front of the random choice: a client whose source port is in
# the hundred or two that belong to a backend gets that backend (see `via` in _services.sh), so that a
# test knows who is to answer.
#
# Arguments: mode, v, pods (the pods' prefix of this family), node (the name of this node).

def family: if $v == "6" then test(":") else test(":") | not end;
def proto: (. // "TCP") | ascii_downcase;
def end_of: if $v == "6" then "[\(.addr)]:\(.port)" else "\(.addr):\(.port)" end;
def host: if $v == "6" then "\(.)/128" else "\(.)/32" end;

# The number at the end of an address, by which the rig counts: 10.64.0.12, fd00:4000::c.
def hex: explode | reduce .[] as $c (0; . * 16 + if $c > 96 then $c - 87 else $c - 48 end);
def number: if $v == "6" then split(":") | last | hex else split(".") | last | tonumber end;
def first_port: 20000 + 200 * number;

# ---- what there is ------------------------------------------------------------------------------------------
def usable: # ready endpoints; if there are none, those that end and still serve
	map(.conditions as $c | {
		addresses,
		ready: (if $c.ready == null then true else $c.ready end),
		ending: ($c.serving == true and $c.terminating == true)
	})
	| if any(.ready) then map(select(.ready)) else map(select(.ending)) end;

def backends($slices; $name; $proto):
	[$slices[] as $slice | $slice.ports[]
	 | select((.name // "") == $name and (.protocol | proto) == $proto) as $p
	 | $slice.endpoints[] | {e: ., port: $p.port}]
	| [[.[].e] | usable | .[].addresses[]] as $ok
	| map({addr: .e.addresses[], port}) | map(select(.addr as $a | $ok | index($a)))
	| unique;

def services:
	. as $all
	| .[] | select(.kind == "Service" and .spec.type != "ExternalName") as $s
	| [$all[] | select(.kind == "EndpointSlice"
			   and .metadata.namespace == $s.metadata.namespace
			   and .metadata.labels["kubernetes.io/service-name"] == $s.metadata.name
			   and .addressType == "IPv" + $v)] as $slices
	| ($s.spec.clusterIPs // [$s.spec.clusterIP] | map(select(. and . != "None" and family))) as $ips
	| select($ips | length > 0)
	| $s.spec.ports[]
	| (.protocol | proto) as $proto
	| {
		id: ("\($s.metadata.namespace)-\($s.metadata.name)-\(.name // .port)" | ascii_upcase),
		ip: $ips[0], proto: $proto, port,
		external: ([$s.spec.externalIPs[]?,
			    ($s.status.loadBalancer.ingress[]? | select(.ipMode != "Proxy") | .ip)]
			   | map(select(family))),
		node_port: (.nodePort // 0),
		backends: backends($slices; .name // ""; $proto)
	};

def host_ports:
	.[] | select(.kind == "Pod" and .spec.nodeName == $node)
	| (.status.podIPs | map(.ip | select(family)) | first) as $addr
	| .spec.containers[].ports[]? | select(.hostPort)
	| select(.hostIP == null or (.hostIP | family))
	| {addr: $addr, port: .containerPort, proto: (.protocol | proto), host: .hostPort, ip: .hostIP};

# ---- iptables -------------------------------------------------------------------------------------------------
def ipt_chains: [
	":KUBE-SERVICES - [0:0]", ":KUBE-NODEPORTS - [0:0]", ":KUBE-MARK-MASQ - [0:0]",
	":KUBE-POSTROUTING - [0:0]", ":CNI-HOSTPORT-DNAT - [0:0]"];

def ipt_fixed: [
	"-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES",
	"-A OUTPUT -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES",
	"-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
	"-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
	"-A POSTROUTING -j KUBE-POSTROUTING",
	"-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
	"-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
	"-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0",
	"-A KUBE-POSTROUTING -j MASQUERADE --random-fully"];

def sep($s): "KUBE-SEP-\(.addr | number)-\($s.id)" | .[0:28];
def svc($s): "KUBE-SVC-\($s.id)" | .[0:28];
def ext($s): "KUBE-EXT-\($s.id)" | .[0:28];

def ipt_service: . as $s | (.backends | length) as $n | if $n == 0 then [] else
	[":\(svc($s)) - [0:0]", ":\(ext($s)) - [0:0]", (.backends[] | ":\(sep($s)) - [0:0]"),
	 "-A KUBE-SERVICES -d \(.ip | host) -p \(.proto) -m \(.proto) --dport \(.port) -j \(svc($s))",
	 (.external[] | "-A KUBE-SERVICES -d \(. | host) -p \($s.proto) -m \($s.proto) --dport \($s.port) -j \(ext($s))"),
	 (select(.node_port > 0) | "-A KUBE-NODEPORTS -p \(.proto) -m \(.proto) --dport \(.node_port) -j \(ext($s))"),
	 "-A \(ext($s)) -j KUBE-MARK-MASQ",
	 "-A \(ext($s)) -j \(svc($s))",
	 "-A \(svc($s)) ! -s \($pods) -d \(.ip | host) -p \(.proto) -m \(.proto) --dport \(.port) -j KUBE-MARK-MASQ",
	 (.backends[] | (.addr | first_port) as $p
	  | "-A \(svc($s)) -p \($s.proto) -m \($s.proto) --sport \($p):\($p + 199) -j \(sep($s))"),
	 (.backends | to_entries[] | .key as $i | .value
	  | "-A \(svc($s)) " + (if $i + 1 < $n then "-m statistic --mode random --probability \(1 / ($n - $i)) " else "" end)
	    + "-j \(sep($s))"),
	 (.backends[] | "-A \(sep($s)) -s \(.addr | host) -j KUBE-MARK-MASQ",
	  "-A \(sep($s)) -p \($s.proto) -m \($s.proto) -j DNAT --to-destination \(end_of)")]
	end;

def ipt_host_port:
	(if .ip then "-d \(.ip | host) " else "" end) as $d
	| ["-A CNI-HOSTPORT-DNAT \($d)-s \(.addr | host) -p \(.proto) -m \(.proto) --dport \(.host) -j KUBE-MARK-MASQ",
	   "-A CNI-HOSTPORT-DNAT \($d)-p \(.proto) -m \(.proto) --dport \(.host) -j DNAT --to-destination \(end_of)"];

def ipt_reject: . as $s | select(.backends == [])
	| ([.ip] + .external | .[] | "-A KUBE-SERVICES -d \(. | host) -p \($s.proto) -m \($s.proto) --dport \($s.port) -j REJECT"),
	  (select(.node_port > 0) | "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -p \(.proto) -m \(.proto) --dport \(.node_port) -j REJECT");

def iptables: [services] as $s | [host_ports] as $h
	| ["*nat"] + ipt_chains + ([$s[] | ipt_service] | add // [] | sort_by(startswith(":") | not)) + ipt_fixed
	  + ([$h[] | ipt_host_port] | add // [])
	  + ["-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS", "COMMIT",
	     "*filter", ":KUBE-SERVICES - [0:0]", ":KUBE-FORWARD - [0:0]",
	     "-A INPUT -m conntrack --ctstate NEW -j KUBE-SERVICES",
	     "-A FORWARD -j KUBE-FORWARD",
	     "-A FORWARD -m conntrack --ctstate NEW -j KUBE-SERVICES",
	     "-A OUTPUT -m conntrack --ctstate NEW -j KUBE-SERVICES",
	     "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
	     "-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT",
	     "-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"]
	  + [$s[] | ipt_reject] + ["COMMIT"];

# ---- nftables -------------------------------------------------------------------------------------------------
def ip: if $v == "6" then "ip6" else "ip" end;
def addr_type: if $v == "6" then "ipv6_addr" else "ipv4_addr" end;
def elements: if . == [] then "" else "elements = { \(join(", ")) }" end;
def key($addr; $port): "\($addr) . \(.proto) . \($port)";

def nft_service: . as $s | (.backends | length) as $n | if $n == 0 then [] else
	[(.backends[] | "chain endpoint-\($s.id)-\(.addr | number) {
		\(ip) saddr \(.addr) jump mark-for-masquerade
		meta l4proto \($s.proto) dnat to \(end_of)
	}"),
	"chain service-\(.id) {
		\(ip) daddr \(.ip) \(.proto) dport \(.port) \(ip) saddr != \($pods) jump mark-for-masquerade
		\([.backends[] | (.addr | first_port) as $p
		   | "th sport \($p)-\($p + 199) goto endpoint-\($s.id)-\(.addr | number)"] | join("\n"))
		numgen random mod \($n) vmap { \(.backends | to_entries
			| map("\(.key) : goto endpoint-\($s.id)-\(.value.addr | number)") | join(", ")) }
	}",
	"chain external-\(.id) {
		jump mark-for-masquerade
		goto service-\(.id)
	}"] end;

def nft_host_port:
	"fib daddr type local " + (if .ip then "\(ip) daddr \(.ip) " else "" end) + "\(.proto) dport \(.host) " as $m
	| "\($m)\(ip) saddr \(.addr) jump mark-for-masquerade", "\($m)dnat to \(end_of)";

def nft: [services] as $s | [host_ports] as $h
	| ($s | map(select(.backends != []))) as $live | ($s | map(select(.backends == []))) as $empty
	| ["table \(ip) kube-proxy", "delete table \(ip) kube-proxy", "table \(ip) kube-proxy {",
	"map service-ips { type \(addr_type) . inet_proto . inet_service : verdict
		\([$live[] | . as $l | "\(key(.ip; .port)) : goto service-\(.id)",
		   (.external[] as $e | $l | "\(key($e; .port)) : goto external-\(.id)")] | elements) }",
	"map service-nodeports { type inet_proto . inet_service : verdict
		\([$live[] | select(.node_port > 0) | "\(.proto) . \(.node_port) : goto external-\(.id)"] | elements) }",
	"map no-endpoint-services { type \(addr_type) . inet_proto . inet_service : verdict
		\([$empty[] | . as $e | ([.ip] + .external)[] as $a | $e | "\(key($a; .port)) : goto reject-chain"] | elements) }",
	"map no-endpoint-nodeports { type inet_proto . inet_service : verdict
		\([$empty[] | select(.node_port > 0) | "\(.proto) . \(.node_port) : goto reject-chain"] | elements) }",
	"set cluster-ips { type \(addr_type)
		\([$s[].ip] | unique | elements) }",
	"chain mark-for-masquerade { meta mark set meta mark | 0x4000; }",
	"chain reject-chain { reject; }"]
	+ ([$live[] | nft_service] | add // [])
	+ ["chain services {
		\(ip) daddr . meta l4proto . th dport vmap @service-ips
		\([$h[] | nft_host_port] | join("\n"))
		fib daddr type local meta l4proto . th dport vmap @service-nodeports
	}",
	"chain service-endpoints-check { \(ip) daddr . meta l4proto . th dport vmap @no-endpoint-services; }",
	"chain nodeport-endpoints-check { fib daddr type local meta l4proto . th dport vmap @no-endpoint-nodeports; }",
	"chain cluster-ips-check { \(ip) daddr @cluster-ips reject; }",
	"chain filter-prerouting { type filter hook prerouting priority dstnat - 10; ct state new jump nodeport-endpoints-check; }",
	"chain filter-input { type filter hook input priority filter; ct state new jump service-endpoints-check; }",
	"chain filter-forward { type filter hook forward priority filter
		ct state new jump service-endpoints-check
		ct state new jump cluster-ips-check
	}",
	"chain filter-output { type filter hook output priority filter
		ct state new jump service-endpoints-check
		ct state new jump cluster-ips-check
	}",
	"chain nat-prerouting { type nat hook prerouting priority dstnat; jump services; }",
	"chain nat-output { type nat hook output priority -100; jump services; }",
	"chain masquerading {
		meta mark & 0x4000 == 0 return
		meta mark set meta mark ^ 0x4000
		masquerade fully-random
	}",
	"chain nat-postrouting { type nat hook postrouting priority srcnat; jump masquerading; }",
	"}"];

(if $mode == "nft" then nft else iptables end) | join("\n")
