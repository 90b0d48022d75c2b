// SPDX-License-Identifier: Apache-2.0
// prev.c - interfaces and addresses of a prevResult.
#include "cni/prev.h"

#include <arpa/inet.h>
#include <string.h>

#include "cni/env.h"
#include "cni/result.h"

// Absent and null are an empty list.
static int list_of(struct json_object *json, const char *field, size_t *retn,
		   struct json_object **ret, struct err *reterr)
{
	*retn = 0;
	if (!json_object_object_get_ex(json, field, ret) || !*ret)
		return 0;
	if (!json_object_is_type(*ret, json_type_array))
		return err_set(reterr, -CNI_CONFIG, "'prevResult.%s' is no list", field);
	*retn = json_object_array_length(*ret);
	return 0;
}

static const char *text_of(struct json_object *json, const char *field)
{
	struct json_object *value = NULL;

	if (!json_object_is_type(json, json_type_object) ||
	    !json_object_object_get_ex(json, field, &value) ||
	    !json_object_is_type(value, json_type_string))
		return "";
	return json_object_get_string(value);
}

static int read_interface(struct json_object *json, size_t at, const char *ifname, struct prev *ret,
			  struct err *reterr)
{
	const char *name = text_of(json, "name");
	bool sandbox = text_of(json, "sandbox")[0];

	if (!env_is_ifname(name))
		return err_set(reterr, -CNI_CONFIG,
			       "'prevResult.interfaces[%zu].name' is no name of an interface", at);
	if (!sandbox)
		ret->host[ret->nhost++] = name;
	else if (strcmp(name, ifname) != 0)
		ret->others[ret->nothers++] = name;
	return 0;
}

static int read_interfaces(struct json_object *list, size_t n, const char *ifname, struct prev *ret,
			   struct err *reterr)
{
	int r = 0;

	if (n > PREV_INTERFACES)
		return err_set(reterr, -CNI_CONFIG,
			       "'prevResult.interfaces' has more than %d elements",
			       PREV_INTERFACES);
	for (size_t i = 0; i < n && r == 0; i++)
		r = read_interface(json_object_array_get_idx(list, i), i, ifname, ret, reterr);
	return r;
}

// An address without an interface is the one's that was asked for.
static int is_ours(struct json_object *ip, size_t at, struct json_object *interfaces, size_t n,
		   const char *ifname, struct err *reterr)
{
	struct json_object *index = NULL, *interface;
	int64_t number;

	if (!json_object_object_get_ex(ip, "interface", &index) || !index)
		return 1;
	number = json_object_get_int64(index);
	if (!json_object_is_type(index, json_type_int) || number < 0 || (uint64_t)number >= n)
		return err_set(reterr, -CNI_CONFIG,
			       "'prevResult.ips[%zu].interface' is no index of 'interfaces'", at);
	interface = json_object_array_get_idx(interfaces, (size_t)number);
	return text_of(interface, "sandbox")[0] && !strcmp(text_of(interface, "name"), ifname);
}

// "10.1.0.5/16" or "10.1.0.5", as the kernel would write it.
static bool take_address(const char *text, char ret[static 48])
{
	unsigned char binary[sizeof(struct in6_addr)];
	size_t len = strcspn(text, "/");
	char plain[48] = "";
	int family;

	if (len >= sizeof(plain))
		return false;
	memcpy(plain, text, len);
	family = strchr(plain, ':') ? AF_INET6 : AF_INET;
	return inet_pton(family, plain, binary) == 1 && inet_ntop(family, binary, ret, 48);
}

static int read_address(struct json_object *ip, size_t at, struct prev *ret, struct err *reterr)
{
	if (ret->naddresses == PREV_ADDRESSES)
		return err_set(reterr, -CNI_CONFIG,
			       "'prevResult.ips' has more than %d addresses of one interface",
			       PREV_ADDRESSES);
	if (!take_address(text_of(ip, "address"), ret->addresses[ret->naddresses]))
		return err_set(reterr, -CNI_CONFIG,
			       "'prevResult.ips[%zu].address': '%.64s' is no address", at,
			       text_of(ip, "address"));
	ret->naddresses++;
	return 0;
}

int prev_read(struct json_object *json, const char *ifname, struct prev *ret, struct err *reterr)
{
	struct json_object *interfaces = NULL, *ips = NULL;
	size_t ninterfaces, nips;
	int r;

	memset(ret, 0, sizeof(*ret));
	r = list_of(json, "interfaces", &ninterfaces, &interfaces, reterr);
	if (r == 0)
		r = list_of(json, "ips", &nips, &ips, reterr);
	if (r == 0)
		r = read_interfaces(interfaces, ninterfaces, ifname, ret, reterr);
	for (size_t i = 0; r == 0 && i < nips; i++) {
		struct json_object *ip = json_object_array_get_idx(ips, i);

		r = is_ours(ip, i, interfaces, ninterfaces, ifname, reterr);
		r = r > 0 ? read_address(ip, i, ret, reterr) : r;
	}
	return r;
}
