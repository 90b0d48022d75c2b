# SPDX-License-Identifier: Apache-2.0
# layers.awk - awk -f layers.awk layers FILE...: names every include that the table does not allow.
function room_of(path) {
	if (match(path, /^agent\/[a-z]+\//)) return substr(path, 7, RLENGTH - 7)
	if (path ~ /^agent\//) return "main"
	sub(/^include\//, "", path); sub(/\/.*/, "", path)
	return path
}
function library_of(header) {
	if (header ~ /^json-c\//) return "json-c"
	if (header ~ /^event2\//) return "libevent"
	if (header ~ /^yaml\.h/) return "libyaml"
	if (header ~ /^curl\//) return "libcurl"
	if (header ~ /^openssl\/ssl/) return "libssl"
	if (header ~ /^openssl\//) return "libcrypto"
	if (header == "zlib.h") return "zlib"
	if (header ~ /^(netlink|libnl)/) return "libnl"
	if (header ~ /^libmnl\//) return "libmnl"
	if (header ~ /^bpf\//) return "libbpf"
	if (header ~ /^(linux|asm)\//) return "uapi"
	return "libc"
}
NR == FNR {
	if ($0 !~ /^#/ && NF == 3) { rooms[$1] = "," $2 ","; libraries[$1] = "," $3 ","; known[$1] = 1 }
	next
}
/^[ \t]*#[ \t]*include[ \t]*[<"]/ {
	room = room_of(FILENAME); split($0, part, /[<">]/); header = part[2]; why = ""
	if (!(room in known)) why = "a room that the table does not know"
	else if (header ~ /^(agent|datapath|cni|bulkhead)\//) {
		other = room_of(header)
		if (other != room && rooms[room] !~ "[,]" other "[,]" && !index(rooms[room], "," header ",") &&
		    rooms[room] != ",*,") why = room " may not use " other
	} else if (header ~ /\.skel\.h$|^commit\.h$/) {
		if (room != "bpf" && room != "cli" && libraries[room] != ",*,") why = "skeletons are bpf's"
	} else {
		library = library_of(header)
		if ((library != "libc" || room ~ /^(bulkhead|datapath)$/) && libraries[room] != ",*," &&
		    !index(libraries[room], "," library ",") && (library != "uapi" || room ~ /^(bulkhead|policy|sim)$/))
			why = room " may not use " library
	}
	if (why) { printf "%s:%d: %s: %s\n", FILENAME, FNR, header, why; bad = 1 }
}
END { exit bad }
