// SPDX-License-Identifier: Apache-2.0
// soak.c - bulkheadd under random change for a long time: does it stay right, and does it give everything back?
//
// In a sandbox of its own: endpoint cycles first, then rounds of change with restarts in their first half, then
// everything goes and what is left is counted.
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/option.h"
#include "tests/conformance/sandbox.h"
#include "agent/bpf/program.h"
#include "tests/soak/holding.h"
#include "tests/soak/soak.h"

#define FAILURES_MAX 20 // then it ends
#define TOLD_MAX 4 // of them with what the agent says of the keepers
#define WARM_CYCLES 2 // until the allocator has what it keeps
#define PROGRESS_MS 10000
#define CENSUS_MS 5000
#define SETTLE_MS 100
// What a process may have grown by: memory that the allocator keeps, and with sanitizers what they hold
// back of freed memory.
#ifdef __SANITIZE_ADDRESS__
#define RSS_GROWTH_BYTES (96u << 20)
#else
#define RSS_GROWTH_BYTES (3u << 20)
#endif

static const struct option options[] = {
	{ "seconds", 's', OPTION_NUMBER, offsetof(struct flags, seconds), "N",
	  "how long to change things", .fallback = "300" },
	{ "seed", 'S', OPTION_NUMBER, offsetof(struct flags, seed), "N",
	  "the same seed makes the same changes", .fallback = "1" },
	{ "cycles", 'c', OPTION_NUMBER, offsetof(struct flags, cycles), "N",
	  "how often every endpoint comes and goes at first", .fallback = "200" },
	{ "every", 'e', OPTION_NUMBER, offsetof(struct flags, every), "N",
	  "rounds of change from one check to the next", .fallback = "4", .min = 1 },
	{ "bulkheadd", 0, OPTION_TEXT, offsetof(struct flags, bulkheadd), "FILE",
	  "the agent's program", .fallback = "build/bulkheadd", .complete = "file" },
	{ "traffic", 0, OPTION_TEXT, offsetof(struct flags, traffic), "FILE",
	  "the tool that makes flows", .fallback = "build/tests/harness/traffic",
	  .complete = "file" },
	{ "agent-options", 0, OPTION_TEXT, offsetof(struct flags, agent_options), "TEXT",
	  "further options of the agent", .fallback = "--log-level warn --sweep-interval 1 --watch-interval 1 --hook-grace 1" },
	{ "api", 'a', OPTION_FLAG, offsetof(struct flags, api),
	  .help = "by way of an API server that drops, delays, cuts, compacts and restarts" },
	{ "verbose", 'v', OPTION_FLAG, offsetof(struct flags, verbose),
	  .help = "the agent's log to standard error" },
	{ "help", 'h', OPTION_HELP, .help = "this text" },
	{ NULL },
};
static const struct option *const tables[] = { options, NULL };
static const struct option_page page = {
	.program = "soak",
	.summary = "run the agent under random change for a long time",
	.text = "Pods, namespaces and policies come, change and go, the agent is ended and killed in between. Its "
		"tables are compared with a fresh compile and with a naive evaluator, real packets are "
		"sent, and in the end everything must have been given back.",
	.tables = tables,
	.section = 1,
};

// ---- telling ----------------------------------------------------------------------------------------------------

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t soak_ms(const struct soak *soak)
{
	return now_ms() - soak->start_ms;
}

static void tell_objects(struct soak *soak)
{
	static struct state force;

	cast_state(&soak->cast, false, &force);
	for (size_t i = 0; i < force.c.nobjects; i++)
		printf("      %s\n", json_object_to_json_string_ext(force.objects[i].json,
								    JSON_C_TO_STRING_PLAIN));
}

void soak_result(struct soak *soak, const char *what, bool good, const char *fmt, ...)
{
	char detail[1024];
	va_list args;

	soak->passed += good;
	soak->failed += !good;
	if (good)
		return;
	va_start(args, fmt);
	vsnprintf(detail, sizeof(detail), fmt, args);
	va_end(args);
	printf("FAIL  %s\n      seed %" PRIu64 ", round %" PRIu64 ": %s\n", what, soak->flags.seed,
	       soak->rounds, detail);
	if (soak->failed == 1 && soak->rounds)
		tell_objects(soak);
	for (unsigned i = 0; soak->cast.kept && soak->failed <= TOLD_MAX && i < CAST_KEEPERS; i++)
		stage_tell(&soak->stage, cast_keepers[i].ns, cast_keepers[i].name);
	fflush(stdout);
}

void soak_progress(struct soak *soak, bool now)
{
	bool terminal = isatty(STDOUT_FILENO);
	int64_t ms = soak_ms(soak);

	if (!now && ms - soak->told_ms < (terminal ? PROGRESS_MS / 20 : PROGRESS_MS))
		return;
	soak->told_ms = ms;
	printf("%s%5" PRId64 " s  %" PRIu64 " cycles, %" PRIu64 " rounds, %" PRIu64
	       " restarts, %" PRIu64 " kills, %" PRIu64 " checks, %" PRIu64 " questions, %" PRIu64
	       " probes, %" PRIu64 " failed, rss %" PRIu64 " KiB%s",
	       terminal ? "\r" : "", ms / 1000, soak->cycles, soak->rounds, soak->stops,
	       soak->kills, soak->checks, soak->questions, soak->probes, soak->failed,
	       soak->stage.agent ? census_rss(agent_pid(soak->stage.agent)) / 1024 : 0,
	       terminal && !now ? "\033[K" : "\n");
	fflush(stdout);
}

// ---- counting what is held --------------------------------------------------------------------------------------

static int take_once(struct soak *soak, struct census *ret, struct err *reterr)
{
	return census_take(soak->stage.agent ? agent_pid(soak->stage.agent) : 0, STAGE_PINS, ret,
			   reterr);
}

// The netfilter program stays for a while when no Service is mixed any more, and filters until their device has its
// turn to be moved to tcx.
static bool is_leaving(const struct census *census)
{
	vec_each(char *, line, &census->lines)
		if (strstr(*line, " bh_hook/") || (strstr(*line, "_program") && program_can_move()))
			return true;
	return false;
}

// The agent may still be closing what it was asked over: until two in a row are equal.
static int take(struct soak *soak, struct census *ret, struct err *reterr)
{
	struct census next = { 0 };
	char text[64];
	int r = take_once(soak, ret, reterr);

	for (int64_t end = now_ms() + CENSUS_MS; r == 0 && now_ms() < end;) {
		poll(NULL, 0, SETTLE_MS);
		r = take_once(soak, &next, reterr);
		if (r < 0 || (!is_leaving(&next) && !*census_difference(ret, &next, text, sizeof(text))))
			break;
		census_free(ret);
		*ret = next;
		next = (struct census){ 0 };
	}
	census_free(&next);
	return r;
}

static int same_as(struct soak *soak, const struct census *before, const char *what,
		   struct err *reterr)
{
	struct census now = { 0 };
	char text[800], problem[800] = "";
	int r;

	for (int64_t end = now_ms() + CENSUS_MS;;) {
		census_free(&now);
		r = take_once(soak, &now, reterr);
		if (r < 0)
			return r;
		r = soak->stage.agent ? stage_problems(&soak->stage, problem, sizeof(problem), reterr) : 0;
		if (now_ms() > end || (!*census_difference(before, &now, text, sizeof(text)) && r == 0))
			break;
	}
	census_difference(before, &now, text, sizeof(text));
	soak_result(soak, what, !*text, "%s", text);
	soak_result(soak, "no problem is told of what is gone", r == 0, "%s: %d: %s", what, r,
		    problem);
	soak_result(soak, "memory is back", now.rss_bytes <= before->rss_bytes + RSS_GROWTH_BYTES,
		    "%s: %" PRIu64 " KiB, before %" PRIu64 " KiB", what, now.rss_bytes / 1024,
		    before->rss_bytes / 1024);
	printf("      %s: %zu lines, rss %" PRIu64 " KiB, before %" PRIu64 " KiB\n", what,
	       now.lines.n, now.rss_bytes / 1024, before->rss_bytes / 1024);
	census_free(&now);
	return 0;
}

// Kernel objects that the agent once had are either held now or gone.
static int check_ids(struct soak *soak, const char *what, struct err *reterr)
{
	struct kernel_ids held = { 0 };
	char first[64] = "";
	pid_t pid = soak->stage.agent ? agent_pid(soak->stage.agent) : 0;
	int r = kernel_ids_add(&held, pid, STAGE_PINS);
	size_t alive;

	if (r < 0)
		return err_set(reterr, r, "reading ids: %s", strerror(-r));
	alive = kernel_ids_alive(&soak->seen, &held, first, sizeof(first));
	soak_result(soak, what, !alive, "%zu maps, programs and links live on: %s", alive, first);
	kernel_ids_fini(&held);
	return 0;
}

// ---- phases -----------------------------------------------------------------------------------------------------

static int show_and_sync(struct soak *soak, struct err *reterr)
{
	int r = round_show(soak, reterr);

	return r < 0 ? r : round_sync(soak, reterr);
}

static int count_link(void *arg, const char *path, const char *end)
{
	*(uint64_t *)arg += !strncmp(end, "ep/", 3) && strstr(end, "_link");
	return 0;
}

static int cycle(struct soak *soak, struct err *reterr)
{
	int r;

	cast_fill(&soak->cast);
	r = show_and_sync(soak, reterr);
	if (r == 0)
		r = kernel_ids_add(&soak->seen, agent_pid(soak->stage.agent), STAGE_PINS);
	soak->pods += CAST_SEATS + (soak->cast.kept ? CAST_KEEPERS : 0);
	if (r == 0)
		r = holding_pins(STAGE_PINS, count_link, &soak->links);
	cast_clear(&soak->cast);
	if (r == 0)
		r = show_and_sync(soak, reterr);
	kernel_ids_prune(&soak->seen);
	soak->cycles++;
	soak_progress(soak, false);
	return r;
}

// What was never made cannot be left: each pod of each cycle had a link for either direction.
static void check_links(struct soak *soak)
{
	soak_result(soak, "r33_endpoint_cycles_are_of_links", !program_can_move() || soak->links >= 2 * soak->pods,
		    "%" PRIu64 " links of %" PRIu64 " pods", soak->links, soak->pods);
	printf("      %" PRIu64 " links of %" PRIu64 " pods\n", soak->links, soak->pods);
}

// Every endpoint, slot, class and link comes and goes, again and again.
static int run_cycles(struct soak *soak, struct err *reterr)
{
	struct census before = { 0 };
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < WARM_CYCLES; i++)
		r = cycle(soak, reterr);
	if (r == 0)
		r = take(soak, &before, reterr);
	for (uint64_t i = 0; r == 0 && i < soak->flags.cycles; i++)
		r = cycle(soak, reterr);
	if (r == 0)
		r = same_as(soak, &before, "r33_endpoint_cycles_leave_nothing", reterr);
	if (r == 0)
		r = check_ids(soak, "r33_endpoint_cycles_leave_no_kernel_object", reterr);
	if (r == 0)
		check_links(soak);
	census_free(&before);
	return r;
}

// From links at once, which the cycles are about, to what was asked for: by itself the agent begins with filters, and
// pods of a cycle are gone before their turn to be moved.
static int end_cycles(struct soak *soak, struct err *reterr)
{
	int status = stage_agent_end(&soak->stage, SIGTERM);

	soak_result(soak, "an agent that is asked to end leaves with 0", !status, "status %#x", status);
	soak->stage.config.agent_options = soak->flags.agent_options;
	return stage_agent_start(&soak->stage, reterr);
}

static int run_rounds(struct soak *soak, struct err *reterr)
{
	int64_t begin = now_ms(), length = (int64_t)soak->flags.seconds * 1000;
	int r = 0;

	// By way of a server until each kind of its troubles was there, however slow the machine.
	while (r == 0 && soak->failed < FAILURES_MAX &&
	       (now_ms() - begin < length || (soak->stage.api && api_never_ran(&soak->api)))) {
		r = round_run(soak, now_ms() - begin < length / 2, reterr);
		soak_progress(soak, false);
	}
	if (r == 0)
		r = round_sync(soak, reterr);
	return r < 0 ? r : round_check(soak, reterr);
}

static int open_keepers(struct soak *soak, struct err *reterr)
{
	struct state state;
	int r;

	soak->cast.kept = true;
	r = show_and_sync(soak, reterr);
	cast_state(&soak->cast, true, &state);
	return r < 0 ? r :
		       keeper_open(&soak->keeper, soak->stage.rig, &state, soak->flags.traffic,
				   reterr);
}

// Nothing but the nodes is left; then the agent goes and takes everything with it.
static int finish(struct soak *soak, const struct census *empty, struct err *reterr)
{
	struct census none = { 0 };
	char line[1024] = "";
	int r, status;

	keeper_close(&soak->keeper);
	cast_clear(&soak->cast);
	soak->cast.kept = false;
	r = show_and_sync(soak, reterr);
	if (r == 0)
		r = same_as(soak, empty, "r33_all_objects_removed_everything_is_back", reterr);
	if (r < 0)
		return r;
	status = stage_agent_end(&soak->stage, SIGTERM);
	soak_result(soak, "an agent that is asked to end leaves with 0", !status, "status %#x",
		    status);
	status = stage_agent_cleanup(&soak->stage);
	soak_result(soak, "--cleanup leaves with 0", !status, "status %#x", status);
	r = same_as(soak, &none, "nothing is pinned after --cleanup", reterr);
	if (r == 0)
		r = check_ids(soak, "no kernel object is left after --cleanup", reterr);
	status = (int)stage_complaints(line, sizeof(line));
	soak_result(soak, "the agent complains of nothing", !status, "%d lines: %s", status, line);
	return r;
}

// What is made at its first use is made: one cycle, then a census without objects and one with the keepers.
static int begin(struct soak *soak, struct census *retempty, struct census *retkept,
		 struct err *reterr)
{
	int r = round_show(soak, reterr);

	if (r == 0)
		r = stage_agent_start(&soak->stage, reterr);
	if (r == 0)
		r = cycle(soak, reterr);
	if (r == 0)
		r = take(soak, retempty, reterr);
	if (r == 0)
		r = open_keepers(soak, reterr);
	return r < 0 ? r : take(soak, retkept, reterr);
}

// ---- by way of an API server --------------------------------------------------------------------------------------
#define API_OPTIONS " --source kube:%s --api-pause 1"

static int begin_api(struct soak *soak, char *words, size_t bytes, struct err *reterr)
{
	char kubeconfig[PATH_MAX];
	static struct state state;
	struct rig_node *node;
	int r;

	// The namespaces first: the server lives in the node's.
	cast_state(&soak->cast, false, &state);
	r = rig_set(soak->stage.rig, NULL, &state.c, reterr);
	node = r == 0 ? stage_node(&soak->stage) : NULL;
	if (r == 0)
		r = api_open(&soak->api, node->netns, soak->flags.seed, reterr);
	if (r < 0)
		return r;
	soak->stage.api = &soak->api;
	snprintf(words, bytes, "%s" API_OPTIONS, soak->flags.agent_options,
		 standin_path(&soak->api.standin, "kubeconfig", kubeconfig));
	soak->stage.config.agent_options = words;
	r = round_show(soak, reterr);
	return r < 0 ? r : stage_agent_start(&soak->stage, reterr);
}

static int end_api(struct soak *soak, struct err *reterr)
{
	const char *never = api_never_ran(&soak->api);
	int status;

	forbidden_close(&soak->forbidden);
	for (int i = 0; i < FORBIDDEN_PAIRS; i++) {
		struct forbidden_pair *pair = &soak->forbidden.pairs[i];
		uint64_t sent = atomic_load(&pair->sent), arrived = atomic_load(&pair->arrived);

		soak_result(soak, "a protected pod is never open", !arrived && sent,
			    "%" PRIu64 " of %" PRIu64 " forbidden datagrams arrived at %s", arrived,
			    sent, pair->to_name);
		printf("      %s: %" PRIu64 " forbidden datagrams sent, %" PRIu64 " arrived\n",
		       pair->to_name, sent, arrived);
	}
	soak_result(soak, "every kind of trouble was made", !never, "never: %s", never);
	printf("      %" PRIu64 " troubles of %d kinds, %" PRIu64 " objects compared with the server's\n",
	       soak->api.troubles, API_TROUBLES, soak->compared);
	status = stage_agent_end(&soak->stage, SIGTERM);
	soak_result(soak, "an agent that is asked to end leaves with 0", !status, "status %#x", status);
	status = stage_agent_cleanup(&soak->stage);
	soak_result(soak, "--cleanup leaves with 0", !status, "status %#x", status);
	return 0;
}

static int run_api(struct soak *soak, struct err *reterr)
{
	const struct flags *flags = &soak->flags;
	char words[2 * PATH_MAX];
	static struct state state;
	int r = stage_open(&soak->stage, flags->bulkheadd, NULL, flags->verbose, reterr);

	cast_init(&soak->cast, flags->seed);
	if (r == 0)
		r = begin_api(soak, words, sizeof(words), reterr);
	if (r == 0)
		r = open_keepers(soak, reterr);
	if (r == 0) {
		cast_state(&soak->cast, false, &state);
		r = forbidden_open(&soak->forbidden, soak->stage.rig, &state, reterr);
	}
	if (r == 0)
		r = run_rounds(soak, reterr);
	return r < 0 ? r : end_api(soak, reterr);
}

static int run_all(struct soak *soak, struct err *reterr)
{
	struct census empty = { 0 }, kept = { 0 };
	const struct flags *flags = &soak->flags;
	char words[PATH_MAX];
	int r;

	snprintf(words, sizeof(words), "%s%s", flags->agent_options, program_can_move() ? " --attach tcx" : "");
	r = stage_open(&soak->stage, flags->bulkheadd, words, flags->verbose, reterr);
	cast_init(&soak->cast, flags->seed);
	if (r == 0)
		r = begin(soak, &empty, &kept, reterr);
	if (r == 0)
		r = run_cycles(soak, reterr);
	if (r == 0)
		r = end_cycles(soak, reterr);
	if (r == 0)
		r = run_rounds(soak, reterr);
	cast_clear(&soak->cast);
	if (r == 0)
		r = show_and_sync(soak, reterr);
	if (r == 0)
		r = same_as(soak, &kept, "r33_churn_leaves_nothing", reterr);
	if (r == 0)
		r = check_ids(soak, "r33_churn_leaves_no_kernel_object", reterr);
	if (r == 0)
		r = finish(soak, &empty, reterr);
	census_free(&empty);
	census_free(&kept);
	return r;
}

static int child_main(void *arg)
{
	struct soak *soak = arg;
	struct err err = { 0 };
	int r;

	soak->start_ms = now_ms();
	soak->rng.state = ~soak->flags.seed;
	r = soak->flags.api ? run_api(soak, &err) : run_all(soak, &err);
	if (r < 0)
		soak_result(soak, "the run comes to its end", false, "%s", err.text);
	soak_progress(soak, true);
	forbidden_close(&soak->forbidden);
	keeper_close(&soak->keeper);
	stage_close(&soak->stage);
	api_close(&soak->api);
	kernel_ids_fini(&soak->seen);
	cast_fini(&soak->cast);
	printf("%" PRIu64 " passed, %" PRIu64 " failed\n", soak->passed, soak->failed);
	return soak->failed > 0;
}

int main(int argc, char **argv)
{
	static struct soak soak;
	struct option_list args = { 0 };
	struct err err = { 0 };
	int r = option_defaults(tables, &soak.flags, &err), status;
	pid_t pid;

	if (r == 0)
		r = option_parse(&page, argc, argv, &soak.flags, &args, &err);
	if (r == OPTION_WANTS_HELP) {
		option_help(stdout, &page);
		return 0;
	}
	if (r < 0) {
		fprintf(stderr, "soak: %s; see --help\n", err.text);
		return 2;
	}
	setenv("ASAN_OPTIONS", "quarantine_size_mb=16", 0); // so that its growth ends before the run does
	printf("seed %" PRIu64 ", %" PRIu64 " s, %" PRIu64 " cycles\n", soak.flags.seed,
	       soak.flags.seconds, soak.flags.cycles);
	pid = sandbox_start(child_main, &soak);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
		fprintf(stderr, "soak: its process did not come to its end\n");
		return 2;
	}
	return WEXITSTATUS(status);
}
