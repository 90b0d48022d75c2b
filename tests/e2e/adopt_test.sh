#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# R39: an agent comes to a node whose connections are older than it. What its policies allow goes on without a
# loss, seeded from the pods' own sockets, judged in the direction in which it began; what they deny is cut.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

node_up
namespace shop
pod web shop
pod job shop
pod api shop
serve world 80/tcp 40080/tcp 80/udp
default_deny shop # api may begin nothing, web may not be begun with: a wrong direction would be denied
policy web shop <<<'{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: api}}}]}]}'
policy api shop <<<'{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}'
# Behind a pod that forwards: no socket of the pod shows these, but the node's connection tracking does. Their ports tell the
# other direction than the one in which they began, so whoever goes by ports denies the one and allows the other.
pod fwd shop
policy fwd shop <<<'{podSelector: {matchLabels: {app: fwd}}, policyTypes: [Egress], egress: [{ports: [{port: 40080}, {port: 80, protocol: UDP}]}]}'
in_ns node nft 'table inet track { chain forward { type filter hook forward priority 0; ct state new counter; }; }' || die "nft"
ns_new inner
ip -n "$P-fwd" -b - <<-EOT || die "behind fwd"
	link add in0 type veth peer name eth0 netns $P-inner
	addr add 192.168.7.1/24 dev in0
	link set in0 up
EOT
ip -n "$P-inner" -b - <<-EOT || die "inner"
	addr add 192.168.7.2/24 dev eth0
	link set eth0 up
	route add default via 192.168.7.1
EOT
in_ns fwd sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
in_ns fwd nft 'table ip nat { chain post { type nat hook postrouting priority srcnat; oifname eth0 masquerade; }; }' || die "nft"
stream behind inner world 40080 tcp 4 -i 900 -p 53
in_ns node conntrack -I -p udp -s "$WORLD4" -d "${POD4[fwd]}" --sport 80 --dport 53 --timeout 300 -u SEEN_REPLY >/dev/null 2>&1 ||
	die "a flow that the world began"
stream denied inner world 80 udp 4 -i 900 -p 53
# What nobody tracks only the pods' own sockets tell of. The ports mislead here, too: 53 speaks with one above it.
BARE=40053
in_ns node nft "table inet bare { chain pre { type filter hook prerouting priority raw; meta l4proto { tcp, udp } th dport $BARE notrack; meta l4proto { tcp, udp } th sport $BARE notrack; }; }" ||
	die "nft"
for name in web api; do tool_start "bare-$name" $name serve $BARE/tcp $BARE/udp; done
bare="bare4 bare6"
stream bare4 web api $BARE tcp 4 -i 2 -p 53
stream bare6 web api $BARE tcp 6 -i 2 -p 53
stream dgram4 web api $BARE udp 4 -i 2 -p 54
stream back4 api web $BARE tcp 4 -i 2 -p 53
keep="tcp4 tcp6 idle6 $bare" cut="job4 world4 out4 back4"
stream tcp4 web api 80 tcp 4 -i 2
stream tcp6 web api 8080 tcp 6 -i 2
stream idle6 web api 81 tcp 6 -i 900
stream job4 job api 80 tcp 4 -i 2
stream world4 world api 8080 tcp 4 -i 2
stream out4 web world 80 tcp 4 -i 2
for s in tcp4 tcp6 $bare dgram4 $cut; do tool_ask "$s" "echoed 20 5000"; done
untracked() { in_ns node conntrack -L -p "$1" --dport $BARE 2>/dev/null | grep -c . ; }
equal "nobody tracks these" "$(untracked tcp) $(untracked udp) $(in_ns node conntrack -L -f ipv6 2>/dev/null | grep -c "port=$BARE")" "0 0 0"
agent_start
sync
equal "r39_seeded_from_conntrack: flows without a socket, by who began" \
	"$(ask '{"op":"ct.list","namespace":"shop","name":"fwd"}' | jq -r '[.connections[] | select(.flags | index("seeded")) | "\(.protocol) \(.direction) \(.remote_port)"] | sort | join(", ")')" "TCP egress 40080, UDP ingress 80"
tool_ask behind "echoed 3 10000"
tool_ask behind "drain 5000"
equal "r39_seeded_from_conntrack: what is allowed goes on" "${R[state]} $((R[sent] - R[echoed])) ${R[gaps]} ${R[heard_gaps]}" "open 0 0 0"
tool_ask denied report
heard="${R[heard]} ${R[echoed]}"
tool_ask denied "sent 2"
equal "r39_seeded_from_conntrack: what is denied is cut" "${R[heard]} ${R[echoed]}" "$heard"
for s in $keep; do
	tool_ask "$s" "echoed 3 10000"
	tool_ask "$s" "drain 5000"
	equal "r39_allowed_older_connections_go_on: $s" \
		"${R[state]} $((R[sent] - R[echoed])) ${R[gaps]} ${R[heard_gaps]}" "open 0 0 0"
done
for s in $cut; do
	tool_ask "$s" report
	heard="${R[heard]} ${R[echoed]}"
	tool_ask "$s" "sent 100"
	equal "r39_denied_older_connections_are_cut: $s" "${R[heard]} ${R[echoed]} ${R[state]}" "$heard open"
done
seeded() { # POD FILTER: of its seeded connections, who began, to where, in how many families
	ask "{\"op\":\"ct.list\",\"namespace\":\"${NAMESPACE[$1]}\",\"name\":\"$1\"}" | jq -r "[.connections[] |
		select((.flags | index(\"seeded\")) and ($2)) |
		\"\(.protocol) \(.direction) \(.local_port) \(.remote_port)\"] | sort | join(\", \")"
}
equal "r39_seeded_from_conntrack: by who began" \
	"$(for p in web api; do connections $p "(.flags | index(\"seeded\")) and (.flags | index(\"cut\") | not) and .direction == \"egress\" and .remote_port != $BARE"; done | xargs)" "3 0"
here=".local_port == $BARE" there=".remote_port == $BARE"
equal "r39_seeded_from_the_pods_sockets: of web, by who began" "$(seeded web "$here or $there")" \
	"TCP egress 53 $BARE, TCP egress 53 $BARE, TCP ingress $BARE 53, UDP egress 54 $BARE"
equal "r39_seeded_from_the_pods_sockets: of api, by who began" "$(seeded api "$here or $there")" \
	"TCP egress 53 $BARE, TCP ingress $BARE 53, TCP ingress $BARE 53"
expect "r39_new_connections_are_judged_as_ever" <<-EOT
	open   web api 80 tcp
	silent api web 80 tcp
	silent job api 80 tcp
EOT

# A policy that comes later to a pod that had none: the same, without the agent having watched its flows.
namespace depot
pod free depot
pod guest depot
stream old free guest 80 tcp 4 -i 2
stream old6 free guest 81 tcp 6 -i 2
tool_start bare-guest guest serve $BARE/tcp
stream older free guest $BARE tcp 4 -i 2 -p 53 # by the sockets alone
sync
default_deny depot
policy guest depot <<<'{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {matchLabels: {app: free}}}]}], egress: [{to: [{podSelector: {matchLabels: {app: guest}}}]}]}'
sync
for s in old old6 older; do
	tool_ask "$s" "echoed 20 5000"
	tool_ask "$s" "drain 5000"
	equal "r39_becoming_isolated_loses_nothing: $s" "${R[state]} $((R[sent] - R[echoed])) ${R[gaps]}" "open 0 0"
done
equal "r39_becoming_isolated: seeded from the pods' sockets" "$(seeded free "$there"), $(seeded guest "$here")" \
	"TCP egress 53 $BARE, TCP ingress $BARE 53"
end
