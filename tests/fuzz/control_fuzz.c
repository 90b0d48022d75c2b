// SPDX-License-Identifier: Apache-2.0
// control_fuzz.c - any bytes on the control socket: no crash, no leak, and one line of JSON per answer. Operations: one
// that reads a text and a number as all do, and `objects`, the one that needs neither tables nor endpoints.
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent/control/control.h"
#include "agent/daemon/json.h"

#define TURNS 4096 // of the loop until the server must have closed the connection

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct config config = { .node = "n" };
static struct daemon agent = { .config = &config }; // what `objects` reads of it: base, store, source
static char folder[64], path[sizeof(folder) + 16], manifest[sizeof(folder) + 16];
static int64_t snapshot; // of the last answer that said one and was not the last page

static const char manifests[] =
	"apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\n"
	"apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop, labels: {app: web}}\n"
	"spec: {nodeName: n}\nstatus: {phase: Running, podIPs: [{ip: 10.0.0.1}]}\n---\n"
	"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: odd, namespace: shop}\n"
	"spec: {podSelector: {}, ingress: [{from: [{}]}]}\n";

static int op_echo(void *arg, struct json_object *request, struct json_object **ret,
		   struct err *reterr)
{
	const char *text;
	int64_t number;
	int r;

	r = control_string(request, "text", &text, reterr);
	if (r == 0)
		r = control_number(request, "n", 0, 9, 1, &number, reterr);
	if (r < 0)
		return r;
	*ret = json_object_new_object();
	json_object_object_add(*ret, "text", json_object_new_string(text));
	return 0;
}

static void stop(void)
{
	control_server_free(agent.control); // removes the socket file
	source_close(agent.source);
	store_free(agent.store);
	event_base_free(agent.base);
	unlink(manifest);
	rmdir(folder);
}

static void check(int r, const struct err *err)
{
	if (r >= 0)
		return;
	fprintf(stderr, "%s\n", err->text);
	abort();
}

static void start(void)
{
	static const struct control_op ops[] = { { "echo", op_echo }, { "objects", op_objects }, { NULL } };
	static const struct source_events events;
	char spec[sizeof(folder) + 4];
	struct err err = { 0 };
	FILE *f;

	strcpy(folder, "/tmp/bulkhead-control-fuzz-XXXXXX");
	assert(mkdtemp(folder));
	snprintf(spec, sizeof(spec), "dir:%s", folder);
	snprintf(path, sizeof(path), "%s/socket", folder);
	snprintf(manifest, sizeof(manifest), "%s/all.yaml", folder);
	f = fopen(manifest, "w");
	assert(f && fputs(manifests, f) >= 0 && fclose(f) == 0);
	agent.base = event_base_new();
	assert(agent.base && store_new(&agent.store) == 0);
	check(source_open(spec, agent.base, agent.store, &events, &agent.source, &err), &err);
	assert(source_synced(agent.source));
	check(control_server_new(agent.base, path, ops, &agent, &agent.control, &err), &err);
	atexit(stop);
}

static int connect_to(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert(fd >= 0);
	memcpy(address.sun_path, path, strlen(path));
	assert(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

static void check_line(char *line, size_t len)
{
	_cleanup_json_ struct json_object *json = NULL;
	struct json_object *ok = NULL, *id = NULL;

	assert(control_json(line, len, 64, &json, NULL) == 0);
	assert(json_object_object_get_ex(json, "ok", &ok));
	if (json_object_object_get_ex(json, "snapshot", &id))
		snapshot = json_object_get_int64(id);
}

// Reads what is there into line; whole lines are checked. False: the connection ended.
static bool drain(int fd, char *line, size_t bytes, size_t *len)
{
	for (;;) {
		ssize_t n = read(fd, line + *len, bytes - *len);
		char *end;

		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0)
			return false;
		*len += (size_t)n;
		while ((end = memchr(line, '\n', *len))) {
			check_line(line, (size_t)(end - line));
			*len -= (size_t)(end - line) + 1;
			memmove(line, end + 1, *len);
		}
		assert(*len < bytes);
	}
}

static void converse(const uint8_t *data, size_t size)
{
	static char line[1 << 20];
	size_t len = 0, sent = 0;
	bool open = true;
	int fd = connect_to();

	for (int turn = 0; open && turn < TURNS; turn++) {
		ssize_t n = sent < size ? send(fd, data + sent, size - sent, MSG_NOSIGNAL) : 0;

		if (n > 0)
			sent += (size_t)n;
		if (sent == size)
			shutdown(fd, SHUT_WR);
		event_base_loop(agent.base, EVLOOP_NONBLOCK);
		open = drain(fd, line, sizeof(line), &len);
	}
	assert(!open && len == 0);
	close(fd);
	event_base_loop(agent.base, EVLOOP_NONBLOCK);
}

// A page of the snapshot that an answer told of: where it begins and how long it is are the input's.
static void turn_page(const uint8_t *data, size_t size)
{
	uint32_t from = 0, max = 0;
	char request[128];
	int n;

	memcpy(&from, data, size < 4 ? size : 4);
	memcpy(&max, data + size - (size < 4 ? size : 4), size < 4 ? size : 4);
	n = snprintf(request, sizeof(request), "{\"op\":\"objects\",\"snapshot\":%lld,\"after\":%u,\"max\":%u}\n",
		     (long long)snapshot, from % 8, max);
	converse((const uint8_t *)request, (size_t)n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!agent.base)
		start();
	snapshot = 0;
	converse(data, size);
	if (snapshot)
		turn_page(data, size);
	daemon_objects_close(&agent);
	return 0;
}
