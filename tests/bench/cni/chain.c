// SPDX-License-Identifier: Apache-2.0
// chain.c - runs chains of CNI plugins as a container runtime does, and takes the time.
//
//	chain fill  N CONFLIST FIRST    N pods that stay, numbered from FIRST
//	chain pairs N WITHOUT WITH      N pods by each conflist in turn: lines of microseconds `WITHOUT WITH OURS WITHOUT WITH OURS`,
//	                                of ADD and then of DEL, OURS the last plugin's of WITH alone
//	chain storm N CONFLIST          N pods at once: microseconds from the first to the last
//	chain alone N PROGRAM           VERSION of one plugin, N times: lines of microseconds from its fork to its end
//
// World: host, benchmark; root, in a mount namespace of the caller's. Pure: no. Owns: the network namespaces that it names.
//
// Environment: CNI_PATH, MANIFESTS (the folder in which pods' objects are written before their ADD), NODE.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

#define NETNS_DIR "/run/netns"
#define OBJECT_MS 300 // from a pod's object to its ADD: schedulers and kubelets take longer
#define ANSWER_BYTES 65536

struct pod {
	char name[32], netns[64];
};

struct took {
	uint64_t all_us, last_us; // of all plugins; of the one at the list's end
};

static void die(const char *what, const char *detail)
{
	fprintf(stderr, "chain: %s: %s\n", what, detail);
	exit(1);
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

// ---- a pod --------------------------------------------------------------------------------------------------------

static void write_object(const char *name)
{
	char path[256], hidden[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/pod-%s.yaml", getenv("MANIFESTS"), name);
	snprintf(hidden, sizeof(hidden), "%s/.pod-%s.tmp", getenv("MANIFESTS"), name);
	f = fopen(hidden, "we");
	if (!f)
		die(hidden, strerror(errno));
	fprintf(f,
		"{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: shop, uid: uid-%s, labels: {app: %s}}, "
		"spec: {nodeName: %s, containers: [{name: main}]}, status: {phase: Pending}}\n",
		name, name, name, getenv("NODE"));
	if (fclose(f) || rename(hidden, path))
		die(path, strerror(errno));
}

static void remove_object(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/pod-%s.yaml", getenv("MANIFESTS"), name);
	unlink(path);
}

// A process of its own makes the namespace and names it.
static void netns_new(const struct pod *pod)
{
	int fd = open(pod->netns, O_RDONLY | O_CREAT | O_CLOEXEC, 0444), status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(unshare(CLONE_NEWNET) || mount("/proc/self/ns/net", pod->netns, NULL, MS_BIND, NULL));
	close(fd);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		die(pod->netns, "no network namespace can be made");
}

static void netns_end(const struct pod *pod)
{
	umount2(pod->netns, MNT_DETACH);
	unlink(pod->netns);
}

static struct pod pod_new(const char *prefix, unsigned long number)
{
	struct pod pod;

	snprintf(pod.name, sizeof(pod.name), "%s%lu", prefix, number);
	snprintf(pod.netns, sizeof(pod.netns), NETNS_DIR "/bench-%s", pod.name);
	return pod;
}

// ---- plugins --------------------------------------------------------------------------------------------------------

static void exec_plugin(const char *command, const struct pod *pod, const char *type, int in, int out)
{
	char args[160], path[512], dirs[512], *save, *dir;

	snprintf(args, sizeof(args), "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=%s;K8S_POD_UID=uid-%s", pod->name,
		 pod->name);
	setenv("CNI_COMMAND", command, 1);
	setenv("CNI_CONTAINERID", pod->name, 1);
	setenv("CNI_NETNS", pod->netns, 1);
	setenv("CNI_IFNAME", "eth0", 1);
	setenv("CNI_ARGS", args, 1);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	snprintf(dirs, sizeof(dirs), "%s", getenv("CNI_PATH"));
	for (dir = strtok_r(dirs, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
		snprintf(path, sizeof(path), "%s/%s", dir, type);
		execl(path, type, (char *)NULL);
	}
	_exit(127);
}

// One plugin's answer, to be freed; NULL: it printed nothing.
static struct json_object *run_plugin(const char *command, const struct pod *pod, struct json_object *conf)
{
	const char *text = json_object_to_json_string_ext(conf, JSON_C_TO_STRING_PLAIN);
	const char *type = json_object_get_string(json_object_object_get(conf, "type"));
	static char answer[ANSWER_BYTES];
	int in[2], out[2], status;
	size_t used = 0;
	ssize_t n;
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		die("pipe", strerror(errno));
	pid = fork();
	if (pid == 0)
		exec_plugin(command, pod, type, in[0], out[1]);
	close(in[0]);
	close(out[1]);
	if (write(in[1], text, strlen(text)) < 0)
		die(type, strerror(errno));
	close(in[1]);
	while ((n = read(out[0], answer + used, sizeof(answer) - 1 - used)) > 0)
		used += (size_t)n;
	answer[used] = 0;
	close(out[0]);
	if (waitpid(pid, &status, 0) != pid || status)
		die(type, answer);
	return json_tokener_parse(answer);
}

// The configuration that the plugin at index gets, with what the one before it answered.
static struct json_object *conf_of(struct json_object *list, size_t index, struct json_object *previous)
{
	struct json_object *plugin = json_object_array_get_idx(json_object_object_get(list, "plugins"), index), *conf = NULL;

	if (json_object_deep_copy(plugin, &conf, NULL) < 0)
		die("memory", "none is left");
	json_object_object_add(conf, "cniVersion", json_object_get(json_object_object_get(list, "cniVersion")));
	json_object_object_add(conf, "name", json_object_get(json_object_object_get(list, "name")));
	if (previous)
		json_object_object_add(conf, "prevResult", json_object_get(previous));
	return conf;
}

static struct took add(struct json_object *list, const struct pod *pod)
{
	size_t n = json_object_array_length(json_object_object_get(list, "plugins"));
	struct json_object *previous = NULL;
	struct took took = { 0 };
	uint64_t begin = now_us(), last = begin;

	for (size_t i = 0; i < n; i++) {
		struct json_object *conf = conf_of(list, i, previous);

		last = now_us();
		json_object_put(previous);
		previous = run_plugin("ADD", pod, conf);
		json_object_put(conf);
	}
	took = (struct took){ now_us() - begin, now_us() - last };
	json_object_put(previous);
	return took;
}

static struct took del(struct json_object *list, const struct pod *pod)
{
	size_t n = json_object_array_length(json_object_object_get(list, "plugins"));
	uint64_t begin = now_us(), last = 0;

	for (size_t i = n; i--;) {
		struct json_object *conf = conf_of(list, i, NULL);

		json_object_put(run_plugin("DEL", pod, conf));
		json_object_put(conf);
		last = last ?: now_us();
	}
	return (struct took){ now_us() - begin, last - begin };
}

// ---- what is measured -----------------------------------------------------------------------------------------------

static void wait_objects(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = OBJECT_MS * 1000000 }, NULL);
}

struct life {
	struct took add, del;
};

static struct life once(struct json_object *list, const char *prefix, unsigned long number)
{
	struct pod pod = pod_new(prefix, number);
	struct life life;

	write_object(pod.name);
	netns_new(&pod);
	wait_objects();
	life.add = add(list, &pod);
	life.del = del(list, &pod);
	netns_end(&pod);
	remove_object(pod.name);
	return life;
}

static void pairs(unsigned long n, struct json_object *without, struct json_object *with)
{
	for (unsigned long i = 0; i < n; i++) {
		struct life first = i % 2 ? once(without, "a", i) : once(with, "b", i);
		struct life second = i % 2 ? once(with, "b", i) : once(without, "a", i);
		struct life ours = i % 2 ? second : first, theirs = i % 2 ? first : second;

		printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " ", theirs.add.all_us, ours.add.all_us, ours.add.last_us);
		printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", theirs.del.all_us, ours.del.all_us, ours.del.last_us);
		fflush(stdout);
	}
}

static void fill(unsigned long n, struct json_object *list, unsigned long first)
{
	for (unsigned long i = first; i < first + n; i++)
		write_object(pod_new("f", i).name);
	wait_objects();
	for (unsigned long i = first; i < first + n; i++) {
		struct pod pod = pod_new("f", i);

		netns_new(&pod);
		add(list, &pod);
	}
}

static void storm(unsigned long n, struct json_object *list)
{
	uint64_t begin;
	int status, bad = 0;

	for (unsigned long i = 0; i < n; i++) {
		struct pod pod = pod_new("s", i);

		write_object(pod.name);
		netns_new(&pod);
	}
	wait_objects();
	begin = now_us();
	for (unsigned long i = 0; i < n; i++) {
		struct pod pod = pod_new("s", i);

		if (fork() == 0) {
			add(list, &pod);
			_exit(0);
		}
	}
	while (wait(&status) > 0)
		bad += status != 0;
	if (bad)
		die("storm", "not every pod started");
	printf("%" PRIu64 "\n", now_us() - begin);
	for (unsigned long i = 0; i < n; i++) {
		struct pod pod = pod_new("s", i);

		del(list, &pod);
		netns_end(&pod);
		remove_object(pod.name);
	}
}

static void alone(unsigned long n, const char *program)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), status;

	setenv("CNI_COMMAND", "VERSION", 1);
	while (n--) {
		uint64_t begin = now_us();
		pid_t pid = fork();

		if (pid == 0) {
			dup2(null, STDIN_FILENO);
			dup2(null, STDOUT_FILENO);
			execl(program, program, (char *)NULL);
			_exit(127);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
			die(program, "VERSION fails");
		printf("%" PRIu64 "\n", now_us() - begin);
		fflush(stdout); // or the next child has it, too
	}
}

static struct json_object *conflist(const char *path)
{
	struct json_object *list = path ? json_object_from_file(path) : NULL;

	if (!list)
		die(path ? path : "conflist", "cannot be read");
	return list;
}

int main(int argc, char **argv)
{
	unsigned long n = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;

	if (n && argc == 5 && !strcmp(argv[1], "fill"))
		fill(n, conflist(argv[3]), strtoul(argv[4], NULL, 10));
	else if (n && argc == 4 && !strcmp(argv[1], "storm"))
		storm(n, conflist(argv[3]));
	else if (n && argc == 4 && !strcmp(argv[1], "alone"))
		alone(n, argv[3]);
	else if (n && argc == 5 && !strcmp(argv[1], "pairs"))
		pairs(n, conflist(argv[3]), conflist(argv[4]));
	else
		die("usage", "chain fill N CONFLIST FIRST, chain pairs N WITHOUT WITH, chain storm N CONFLIST, chain alone N PROGRAM");
	return 0;
}
