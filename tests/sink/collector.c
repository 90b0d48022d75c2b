// SPDX-License-Identifier: Apache-2.0
// collector.c - nfcapd and rsyslogd.
#include "tests/sink/collector.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#define LOOK_MS 5

// ---- facts that come about ---------------------------------------------------------------------------------------------

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool await(await_fn fn, void *arg)
{
	int64_t end = now_ms() + COLLECT_MS;

	while (!fn(arg)) {
		if (now_ms() > end)
			return false;
		nanosleep(&(struct timespec){ .tv_nsec = LOOK_MS * 1000000 }, NULL);
	}
	return true;
}

size_t lines_count(const char *dir, const char *name)
{
	char path[PATH_MAX];
	size_t lines = 0;
	FILE *file;
	int c;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "re");
	if (!file)
		return 0;
	while ((c = getc_unlocked(file)) != EOF)
		lines += c == '\n';
	fclose(file);
	return lines;
}

char *collector_shell(const char *dir, const char *command)
{
	size_t len = 0, got;
	char line[PATH_MAX + 2048], *text = calloc(1, 1);
	FILE *out;

	snprintf(line, sizeof(line), "cd '%s' && { %s; } 2>&1", dir, command);
	out = popen(line, "re");
	assert_non_null(out);
	do {
		text = realloc(text, len + 65537);
		got = fread(text + len, 1, 65536, out);
		len += got;
		text[len] = 0;
	} while (got);
	if (pclose(out))
		fail_msg("%s: %s", command, text);
	return text;
}

// ---- sockets of this network, as the kernel lists them -----------------------------------------------------------------

struct wanted {
	const char *list;
	unsigned int port;
	bool drained;
};

static bool has_socket(void *arg)
{
	const struct wanted *wanted = arg;
	unsigned int port, state, rx, drops;
	bool found = false;
	char line[512];
	FILE *list = fopen(wanted->list, "re");

	assert_non_null(list);
	while (fgets(line, sizeof(line), list)) {
		if (sscanf(line, " %*d: %*8X:%4X %*8X:%*4X %2X %*8X:%8X %*X:%*X %*X %*u %*u %*u %*d %*s %u", &port, &state, &rx,
			   &drops) < 3 || port != wanted->port)
			continue;
		if (strstr(wanted->list, "tcp") && state != 10)
			continue;
		found = !wanted->drained || !rx;
	}
	fclose(list);
	return found;
}

static void await_socket(const char *list, unsigned int port, bool drained)
{
	struct wanted wanted = { list, port, drained };

	if (!await(has_socket, &wanted))
		fail_msg("%s: nothing at port %u %s", list, port, drained ? "that reads" : "listens");
}

// ---- processes -----------------------------------------------------------------------------------------------------------

static void start(struct collector *collector, const char *dir, char *const argv[])
{
	pid_t parent = getpid();

	snprintf(collector->dir, sizeof(collector->dir), "%s", dir);
	collector->pid = fork();
	assert_ok(collector->pid);
	if (collector->pid)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || chdir(dir) < 0)
		_exit(127);
	dup2(open("collector.log", O_WRONLY | O_CREAT | O_APPEND, 0600), STDERR_FILENO);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	execvp(argv[0], argv);
	_exit(127);
}

void nfcapd_start(struct collector *collector, const char *dir)
{
	char port[8];

	snprintf(port, sizeof(port), "%u", NFCAPD_PORT);
	free(collector_shell(dir, "mkdir -p flows"));
	start(collector, dir, (char *[]){ "nfcapd", "-w", "flows", "-b", "127.0.0.1", "-p", port, "-t", "86400", "-B", "4000000", NULL });
	await_socket("/proc/net/udp", NFCAPD_PORT, false);
}

void nfcapd_stop(struct collector *collector)
{
	int status;

	await_socket("/proc/net/udp", NFCAPD_PORT, true);
	kill(collector->pid, SIGTERM);
	assert_int_equal(waitpid(collector->pid, &status, 0), collector->pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail_msg("nfcapd ended with status %#x, see %s/collector.log", (unsigned int)status, collector->dir);
}

static const char rsyslog_conf[] =
	"global(workDirectory=\"%1$s\" defaultNetstreamDriver=\"ossl\" defaultNetstreamDriverCAFile=\"%1$s/ca.crt\"\n"
	"  defaultNetstreamDriverCertFile=\"%1$s/server.crt\" defaultNetstreamDriverKeyFile=\"%1$s/server.key\")\n"
	"module(load=\"imudp\")\n"
	"module(load=\"imptcp\")\n"
	"module(load=\"imtcp\" streamDriver.name=\"ossl\" streamDriver.mode=\"1\" streamDriver.authMode=\"x509/name\"\n"
	"  permittedPeer=[\"client.example\"])\n"
	"template(name=\"all\" type=\"string\" string=\"%%syslogfacility-text%% %%syslogseverity-text%% %%hostname%% %%app-name%% "
	"%%msgid%% %%structured-data%% %%msg%%\\n\")\n"
	"ruleset(name=\"all\") { action(type=\"omfile\" file=\"%1$s/messages\" template=\"all\" flushOnTXEnd=\"on\") }\n"
	"input(type=\"imudp\" address=\"127.0.0.1\" port=\"%2$u\" ruleset=\"all\" rcvbufSize=\"4m\")\n"
	"input(type=\"imptcp\" address=\"127.0.0.1\" port=\"%2$u\" ruleset=\"all\")\n"
	"input(type=\"imtcp\" address=\"127.0.0.1\" port=\"%3$u\" ruleset=\"all\")\n";

void rsyslog_start(struct collector *collector, const char *dir)
{
	char *conf;

	assert_true(asprintf(&conf, rsyslog_conf, dir, RSYSLOG_PORT, RSYSLOG_TLS_PORT) > 0);
	test_write(dir, "rsyslog.conf", conf);
	free(conf);
	start(collector, dir, (char *[]){ "rsyslogd", "-n", "-f", "rsyslog.conf", "-i", "NONE", NULL });
	await_socket("/proc/net/udp", RSYSLOG_PORT, false);
	await_socket("/proc/net/tcp", RSYSLOG_PORT, false);
	await_socket("/proc/net/tcp", RSYSLOG_TLS_PORT, false);
}

// Killed: what a test awaited is in the file, and rsyslogd with TLS at times aborts in its own end.
void rsyslog_stop(struct collector *collector)
{
	kill(collector->pid, SIGKILL);
	assert_int_equal(waitpid(collector->pid, NULL, 0), collector->pid);
}

// ---- certificates --------------------------------------------------------------------------------------------------------

void certificates_make(const char *dir)
{
	static const char *const commands[] = {
		"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=ca",
		"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout other.key -out other.crt -days 2 -subj /CN=other",
		"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.crt -days 2 "
		"-subj /CN=logs.example -addext subjectAltName=IP:127.0.0.1,DNS:logs.example -CA ca.crt -CAkey ca.key",
		"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout client.key -out client.crt -days 2 "
		"-subj /CN=client.example -addext subjectAltName=DNS:client.example -CA ca.crt -CAkey ca.key",
	};

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		free(collector_shell(dir, commands[i]));
}
