// SPDX-License-Identifier: Apache-2.0
// shape.c - the texts.
#include "tests/bench/scale/shape.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/cleanup.h"

static const struct shape shapes[] = {
	{ "1k", 1000, 20, true },
	{ "10k", 10000, 20, true },
	{ "50k", 50000, 20, true },
	{ "100k", 100000, 20, true },
	{ "antrea", 100000, 4, false },
};

const struct shape *shape_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		if (!strcmp(shapes[i].name, name))
			return &shapes[i];
	return NULL;
}

uint32_t shape_namespaces(const struct shape *shape)
{
	return shape->pods / shape->pods_per_ns;
}

uint32_t shape_nodes(const struct shape *shape)
{
	return (shape->pods + SHAPE_NODE_PODS - 1) / SHAPE_NODE_PODS;
}

uint32_t shape_policies(const struct shape *shape)
{
	return shape_namespaces(shape) * SHAPE_POLICIES_PER_NS;
}

void shape_ns(const struct shape *shape, uint32_t i, uint32_t version, char *text)
{
	snprintf(
		text, SHAPE_TEXT_BYTES,
		"{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"ns%u\",\"labels\":{"
		"\"app\":\"ns%u\",\"team\":\"t%u\"}}}",
		i, i, (i + version) % 10);
}

void shape_node(const struct shape *shape, uint32_t i, char *text)
{
	snprintf(
		text, SHAPE_TEXT_BYTES,
		"{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"n%u\"},\"status\":{\"addresses\":["
		"{\"type\":\"InternalIP\",\"address\":\"172.16.%u.%u\"}]}}",
		i, i >> 8, i & 255);
}

static void pod_labels(const struct shape *shape, uint32_t i, uint32_t version, char *out,
		       size_t bytes)
{
	uint32_t n = i % shape->pods_per_ns;

	if (shape->mixed)
		snprintf(out, bytes,
			 "\"app\":\"a%u\",\"role\":\"%s\",\"pod-template-hash\":\"h%u\"", n / 4,
			 !(n % 10) == !(version & 1) ? "client" : "server", i / 4);
	else
		snprintf(out, bytes, "\"app-%u\":\"scale-%u\"%s", n / 2 + 1, n / 2 + 1,
			 version & 1 ? ",\"moved\":\"yes\"" : "");
}

void shape_pod(const struct shape *shape, uint32_t i, uint32_t version, char *text)
{
	char labels[160];

	pod_labels(shape, i, version, labels, sizeof(labels));
	snprintf(
		text, SHAPE_TEXT_BYTES,
		"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"namespace\":\"ns%u\",\"name\":\"p%u\","
		"\"uid\":\"7d1f3c5a-0000-4000-8000-%012u\",\"labels\":{%s}},\"spec\":{\"nodeName\":\"n%u\","
		"\"containers\":[{\"name\":\"main\",\"ports\":[{\"name\":\"web\",\"containerPort\":8080}]}]},"
		"\"status\":{\"phase\":\"Running\",\"podIPs\":[{\"ip\":\"10.%u.%u.%u\"}]}}",
		shape_ns_of(shape, i), i, i, labels, shape_node_of(shape, i), i >> 16, i >> 8 & 255,
		i & 255);
}

static void default_deny(char *spec, size_t bytes)
{
	snprintf(spec, bytes, "\"podSelector\":{},\"policyTypes\":[\"Ingress\",\"Egress\"]");
}

static void by_label(uint32_t n, uint32_t version, char *spec, size_t bytes)
{
	snprintf(
		spec, bytes,
		"\"podSelector\":{\"matchLabels\":{\"app-%u\":\"scale-%u\"}},\"policyTypes\":[\"Ingress\",\"Egress\"],"
		"\"ingress\":[{\"from\":[{\"podSelector\":{\"matchLabels\":{\"app-%u\":\"scale-%u\"}}}]%s}]",
		n, n, n, n, version & 1 ? ",\"ports\":[{\"port\":8080}]" : "");
}

static void web(uint32_t ns, uint32_t version, char *spec, size_t bytes)
{
	snprintf(
		spec, bytes,
		"\"podSelector\":{\"matchLabels\":{\"app\":\"a0\"}},\"ingress\":[{\"from\":["
		"{\"podSelector\":{\"matchLabels\":{\"app\":\"a1\"}}},"
		"{\"namespaceSelector\":{\"matchLabels\":{\"team\":\"t%u\"}},"
		"\"podSelector\":{\"matchLabels\":{\"role\":\"client\"}}}],\"ports\":[{\"port\":%u}]}%s]",
		ns % 10, 8080 + version % 50,
		ns % 10 ? "" :
			  ",{\"from\":[{\"namespaceSelector\":{}}],\"ports\":[{\"port\":9090}]}");
}

static void outward(uint32_t ns, uint32_t version, char *spec, size_t bytes)
{
	snprintf(
		spec, bytes,
		"\"podSelector\":{},\"policyTypes\":[\"Egress\"],\"egress\":["
		"{\"to\":[{\"namespaceSelector\":{\"matchLabels\":{\"kubernetes.io/metadata.name\":\"ns0\"}},"
		"\"podSelector\":{\"matchLabels\":{\"app\":\"a0\"}}}],\"ports\":[{\"port\":53,\"protocol\":\"UDP\"}]},"
		"{\"to\":[{\"ipBlock\":{\"cidr\":\"0.0.0.0/0\",\"except\":[\"10.0.0.0/8\",\"172.16.0.0/12\"]}}],"
		"\"ports\":[{\"port\":%u}]},"
		"{\"to\":[{\"podSelector\":{\"matchLabels\":{\"role\":\"server\"}}}],\"ports\":[{\"port\":\"web\"}]}]",
		443 + version % 50);
}

void shape_policy(const struct shape *shape, uint32_t i, uint32_t version, char *text)
{
	uint32_t ns = i / SHAPE_POLICIES_PER_NS, n = i % SHAPE_POLICIES_PER_NS;
	char spec[1024];

	if (!n)
		default_deny(spec, sizeof(spec));
	else if (!shape->mixed)
		by_label(n, version, spec, sizeof(spec));
	else if (n == 1)
		web(ns, version, spec, sizeof(spec));
	else
		outward(ns, version, spec, sizeof(spec));
	snprintf(
		text, SHAPE_TEXT_BYTES,
		"{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"NetworkPolicy\",\"metadata\":{"
		"\"namespace\":\"ns%u\",\"name\":\"np-%u\",\"uid\":\"7d1f3c5a-0000-4000-9000-%012u\"},"
		"\"spec\":{%s}}",
		ns, n, i, spec);
}

int shape_each(const struct shape *shape, int (*fn)(void *arg, enum kind kind, const char *text),
	       void *arg)
{
	char text[SHAPE_TEXT_BYTES];
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < shape_namespaces(shape); i++) {
		shape_ns(shape, i, 0, text);
		r = fn(arg, KIND_NAMESPACE, text);
	}
	for (uint32_t i = 0; r == 0 && i < shape_nodes(shape); i++) {
		shape_node(shape, i, text);
		r = fn(arg, KIND_NODE, text);
	}
	for (uint32_t i = 0; r == 0 && i < shape->pods; i++) {
		shape_pod(shape, i, 0, text);
		r = fn(arg, KIND_POD, text);
	}
	for (uint32_t i = 0; r == 0 && i < shape_policies(shape); i++) {
		shape_policy(shape, i, 0, text);
		r = fn(arg, KIND_NETPOL, text);
	}
	return r;
}
