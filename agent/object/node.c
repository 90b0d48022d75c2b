// SPDX-License-Identifier: Apache-2.0
// node.c - Node: labels and addresses.
#include <errno.h>
#include <string.h>

#include "agent/object/kind.h"

// Names among the addresses are no addresses; one that does not parse is left out.
static int read_addr(const struct at *at, struct node *node, struct err *reterr)
{
	struct at type = at_field(at, "type");
	struct at address = at_field(at, "address");
	const char *type_text = "", *text = "";
	int r = at_object(at, reterr);

	if (r >= 0)
		r = at_string(&type, &type_text, reterr);
	if (r >= 0)
		r = at_string(&address, &text, reterr);
	if (r < 0)
		return r;
	if (!strcmp(type_text, "InternalIP") || !strcmp(type_text, "ExternalIP"))
		node->naddrs += addr_parse(text, &node->addrs[node->naddrs]) == 0;
	return 0;
}

static int read_addrs(const struct at *root, struct node *node, struct err *reterr)
{
	struct at status = at_field(root, "status");
	struct at list = at_field(&status, "addresses");
	uint32_t n = 0;
	int r = at_object(&status, reterr);

	if (r >= 0)
		r = at_list(&list, OBJECT_MAX_ADDRS, &n, reterr);
	if (r < 0)
		return r;
	node->addrs = calloc((size_t)n + 1, sizeof(*node->addrs));
	if (!node->addrs)
		return no_memory(reterr);
	for (uint32_t i = 0; r >= 0 && i < n; i++) {
		struct at item = at_item(&list, i);

		r = read_addr(&item, node, reterr);
	}
	return r;
}

static int node_parse(struct json_object *json, struct object *object, struct err *reterr)
{
	struct node *node = (struct node *)object;
	struct at root = at_root(json);
	struct at meta = at_field(&root, "metadata");
	struct at labels = at_field(&meta, "labels");
	int r = labels_read(&labels, &node->labels, reterr);

	return r < 0 ? r : read_addrs(&root, node, reterr);
}

static void node_fini(struct object *object)
{
	struct node *node = (struct node *)object;

	labels_fini(&node->labels);
	free(node->addrs);
}

static bool node_equal(const struct object *a, const struct object *b)
{
	const struct node *x = (const struct node *)a, *y = (const struct node *)b;

	return addrs_equal(x->addrs, x->naddrs, y->addrs, y->naddrs) &&
	       labels_equal(&x->labels, &y->labels);
}

const struct kind_ops node_kind = {
	.name = "Node",
	.api_version = "v1",
	.plural = "nodes",
	.parse = node_parse,
	.fini = node_fini,
	.equal = node_equal,
	.size = sizeof(struct node),
};
