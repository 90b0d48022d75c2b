# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# _render.sh - what the manifests of deploy/ say, as JSON, by the kustomize that is in kubectl. To be sourced.

# render DIR: every object, one a line. Fails when a program is missing or the folder does not render.
render() {
	local yaml
	yaml=$(kubectl kustomize "$1" 2>/dev/null) || { kubectl kustomize "$1" >&2; return 1; }
	yq -c . <<<"$yaml"
}

# shellcheck disable=SC2016 # jq's words
OF_KIND='select(.kind == $kind)'
objects() { jq -c --arg kind "$1" "$OF_KIND"; } # KIND: those of it, of the objects on standard input
