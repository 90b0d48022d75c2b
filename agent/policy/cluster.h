// SPDX-License-Identifier: Apache-2.0
// cluster.h - pods, namespaces and nodes as the compiler needs them: by namespace, by address, by port name.
//
// World: host, one thread. Pure: yes. Owns: its entries and a reference on each object in them.
// Peer atoms in force stand here too, each where it could match: with the namespaces it selects, on the
// prefixes it names, on the list for nodes.
#pragma once

#include "agent/policy/atom.h"
#include "agent/policy/space.h"

struct endpoint;
struct polent;

// One pods peer that may match pods of a namespace. peer NULL: every pod.
struct candidate {
	struct label need; // a label that a pod must have to match; key NULL: every pod is tested
	struct atom *atom;
	const struct peer *peer;
};

typedef VEC(struct candidate) candidate_list;

// One label of a namespace, in the list of those that have it (nslabel.c).
struct ns_place {
	struct ns_label *entry;
	size_t at;
};

struct nsent {
	const char *name;
	const struct namespace_ *object; // NULL: not in the store
	struct label self; // what a namespace without an object is labelled with
	VEC(struct podent *) pods;
	VEC(struct ns_place) places;
	candidate_list candidates; // those for some namespaces only, this being one
	bool sorted;
	VEC(struct polent *) netpols; // by name
};

struct podent {
	const struct pod *object; // NULL: an endpoint's pod that is not in the store
	const char *name;
	struct nsent *ns;
	size_t at; // in ns->pods
	struct endpoint *endpoint; // NULL: not of this node
};

struct nodeent {
	const struct node *object;
	size_t at;
};

// What a port name means, over all pods that can be peers.
struct port_name {
	const char *name;
	uint8_t protocol;
	bool changed; // a number came or went since cluster_names_settled()
	VEC(struct port_count {
		uint16_t number;
		uint32_t pods;
	})
	numbers;
};

struct cluster {
	struct space space;
	struct atoms atoms;
	struct hash pods, namespaces, nodes, names;
	struct hash ns_labels;
	VEC(struct nodeent *) node_list;
	VEC(struct port_name *) changed_names;
	candidate_list node_candidates;
	candidate_list wide; // candidates for the pods of every namespace
	bool wide_sorted;
	const char *name_label; // "kubernetes.io/metadata.name", interned
};

void cluster_init(struct cluster *cluster);
void cluster_fini(struct cluster *cluster);

// before/after as in policy_changed().
void cluster_pod(struct cluster *cluster, const struct pod *before, const struct pod *after);
void cluster_node(struct cluster *cluster, const struct node *before, const struct node *after);
void cluster_namespace(struct cluster *cluster, const struct namespace_ *before,
		       const struct namespace_ *after);

// Entries are made when missing. ns and name need not be interned.
struct nsent *cluster_ns(struct cluster *cluster, const char *ns);
struct nsent *cluster_ns_find(const struct cluster *cluster, const char *ns);
struct podent *cluster_podent(struct cluster *cluster, const char *ns, const char *name);
struct podent *cluster_pod_find(struct cluster *cluster, const char *ns, const char *name);
void cluster_pod_drop(struct cluster *cluster, struct podent *pod); // if nobody needs it
void cluster_ns_drop(struct cluster *cluster, struct nsent *ns); // if nobody needs it

// Marks a pod's addresses (the winner among claimants may have changed).
void cluster_pod_touch(struct cluster *cluster, struct podent *pod);

// The signatures of a node's addresses may have changed; name NULL: nothing.
void cluster_node_touch(struct cluster *cluster, const char *name);

// Borrowed until the next change. labels of a namespace without an object: its name only.
struct labels nsent_labels(const struct nsent *ns);

// Puts atoms that came in force into the indexes, and what they match becomes dirty; takes out those that
// lost their last rule, after they have faded.
void cluster_atoms(struct cluster *cluster);

// The pod whose address this is, or NULL.
struct podent *spot_winner(const struct spot *spot);

// The atoms that match an exact address.
void cluster_signature(struct cluster *cluster, struct spot *spot, atom_ids *out);

// The changed names were looked at: those without a number are forgotten.
void cluster_names_settled(struct cluster *cluster);

struct port_name *cluster_name_find(const struct cluster *cluster, const char *name,
				    uint8_t protocol);
