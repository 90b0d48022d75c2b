#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The life of files: new, changed in place, renamed over, removed, and a ConfigMap's symlink swap.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

node_up
namespace shop
pod web shop
pod api shop
agent_start
sync
np() { # PORT: a policy for api as JSON
	printf '{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"api","namespace":"shop"},"spec":{"podSelector":{"matchLabels":{"app":"api"}},"ingress":[{"ports":[{"port":%s}]}]}}\n' "$1"
}
only() { # WHAT PORT: of 80, 81, 8080 only this one is open
	local port lines=''
	for port in 80 81 8080; do
		if [ $port = "$2" ]; then lines+="open web api $port tcp"$'\n'; else lines+="silent web api $port tcp"$'\n'; fi
	done
	expect "$1" <<<"$lines"
}

np 80 >"$MANIFESTS/api.json"
sync
only "a new file" 80
np 81 >"$MANIFESTS/api.json"
sync
only "changed in place" 81
np 8080 >"$MANIFESTS/.new"
mv "$MANIFESTS/.new" "$MANIFESTS/api.json"
sync
only "renamed over" 8080
mv "$MANIFESTS/api.json" "$MANIFESTS/other.json"
sync
only "renamed: the same object from another file" 8080
np 80 >"$MANIFESTS/zz-second.json"
sync
mv "$MANIFESTS/other.json" "$WORK/away.json"
sync
only "one of two files that hold the object leaves: the other holds" 80
rm "$MANIFESTS/zz-second.json"
sync
expect "removed: open" <<-EOT
	open web api 80 tcp
	open web api 81 tcp
EOT
np 81 >"$MANIFESTS/notes.txt"
np 81 >"$MANIFESTS/.hidden.json"
sync
expect "files of other names and hidden ones are none of ours" <<<'open web api 80 tcp'
rm "$MANIFESTS/notes.txt" "$MANIFESTS/.hidden.json"
agent_stop
agent_cleanup

# As the kubelet mounts a ConfigMap: NAME -> ..data/NAME, ..data -> ..DATE/, and one rename swaps all.
real=$MANIFESTS
MANIFESTS=$WORK/configmap
mkdir "$MANIFESTS"
generation=0
publish() { # PORT: everything there is, as one new generation
	local dir=..$((++generation))
	mkdir "$MANIFESTS/$dir"
	cp "$real"/*.yaml "$MANIFESTS/$dir/"
	np "$1" >"$MANIFESTS/$dir/api.json"
	printf '{apiVersion: v1, kind: Namespace, metadata: {name: swap-%s}}\n' $generation >"$MANIFESTS/$dir/swap.yaml"
	ln -sfn "$dir" "$MANIFESTS/..data_tmp"
	mv -T "$MANIFESTS/..data_tmp" "$MANIFESTS/..data"
	for f in "$MANIFESTS/$dir"/*; do
		[ -L "$MANIFESTS/${f##*/}" ] || ln -s "..data/${f##*/}" "$MANIFESTS/${f##*/}"
	done
	rm -rf "$MANIFESTS/..$((generation - 1))"
}
swapped() { ask "{\"op\":\"sync\",\"namespace\":\"swap-$generation\"}" >/dev/null || die "sync after the swap"; }
publish 80
agent_start
swapped
only "a ConfigMap as it is mounted" 80
stream s web api 80 tcp 4 -i 2
publish 81
swapped
only "a ConfigMap that was swapped" 81
publish 80
swapped
only "and once more" 80
agent_stop
agent_cleanup

# As git-sync publishes: the folder's path is a link, which one rename leads to another checkout.
checkout() { # PORT: everything there is, as the checkout of the next generation
	mkdir "$WORK/checkout$((++generation))"
	cp "$real"/*.yaml "$WORK/checkout$generation/"
	np "$1" >"$WORK/checkout$generation/api.json"
	printf '{apiVersion: v1, kind: Namespace, metadata: {name: swap-%s}}\n' $generation >"$WORK/checkout$generation/swap.yaml"
	ln -s checkout$generation "$WORK/next"
	mv -T "$WORK/next" "$MANIFESTS"
}
MANIFESTS=$WORK/current
checkout 80
agent_start
swapped
only "a folder that is a link" 80
checkout 81
swapped
only "and leads elsewhere" 81
rm -r "$WORK/checkout$((generation - 1))"
checkout 8080
swapped
only "and elsewhere again" 8080
np 80 >"$MANIFESTS/api.json"
sync
only "what it leads to is watched" 80

printf '{apiVersion: v1, kind: Namespace, metadata: {name: target}}\n' >"$WORK/target.yaml"
ln -s "$WORK/target.yaml" "$MANIFESTS/link.yaml"
sync
{
	printf '{apiVersion: v1, kind: Namespace, metadata: {name: swap-%s}}\n---\n' $((++generation))
	np 81
} >"$WORK/target.yaml"
rm "$MANIFESTS/api.json"
swapped
only "a manifest that is a link, whose target was written" 81
end
