// SPDX-License-Identifier: Apache-2.0
// stall_test.c - the publishing order (agent/policy/plan.h) in the kernel: a reader held before any of its
// loads, at any place of a plan, gives the old verdict or the new one with its rule, and every grace period
// waits for it. Then the same with plans that are wrong on purpose: there the reader must find a mixture.
#include "tests/bpf/stall_plan.h"
#include "tests/bpf/stall_reader.h"

#include <sys/syscall.h>

#define WORDS 8
#define LOST_MAX 3 // readers that the machine did not let go in time: each is tried again

// ---- the scene: pods under judges that can be held, and peers that two labels tell apart -------------------------

static void scene_start(void)
{
	live_start(&live, &rig_config);
	live_pod(&live, "a", "p", "'app':'p'", "10.1.0.5", "fd00:1::5");
	live_pod(&live, "a", "q", "'app':'q'", "10.1.0.6", "fd00:1::6");
	live_pod(&live, "a", "r", "'app':'r'", "10.1.0.7", "fd00:1::7");
	load_judges(0);
	peer("a1", "'g':'1','h':'1'", "10.2.0.1 fd00:2::1");
	peer("a2", "'g':'1','h':'2'", "10.2.0.2 fd00:2::2");
	peer("a3", "'g':'2','h':'1'", "10.2.0.3 fd00:2::3");
	peer("a4", "'g':'2','h':'2'", "10.2.0.4 fd00:2::4");
}

static void scene_stop(void)
{
	stall_bpf__destroy(skel);
	live_stop(&live);
}

static int stall_setup(void **state)
{
	if (net_fresh(NULL))
		return -1;
	scene_start();
	return 0;
}

static int stall_teardown(void **state)
{
	feature_force_mask(0);
	scene_stop();
	return 0;
}

// ---- running a plan beside a reader ----------------------------------------------------------------------------

static bool waits(enum step_kind kind)
{
	return kind == STEP_WAIT || kind == STEP_MATRIX_NEW || kind == STEP_MATRIX_FREE;
}

static void run(const struct plan *plan, uint32_t from, uint32_t n)
{
	struct plan part = { .nsteps = n, .steps = plan->steps + from };
	struct err err = { 0 };

	assert_ok_err(tables_apply(live.tables, &part, NULL, &err), &err);
}

static uint32_t group(const struct plan *plan, uint32_t from)
{
	uint32_t n = 1;

	while (from + n < plan->nsteps && plan->steps[from + n].kind == plan->steps[from].kind)
		n++;
	return n;
}

struct behind {
	const struct plan *plan;
	uint32_t from, n;
	pid_t tid;
	bool done, after_reader;
	int r;
};

static void *run_behind(void *arg)
{
	struct behind *behind = arg;
	struct plan part = { .nsteps = behind->n, .steps = behind->plan->steps + behind->from };

	__atomic_store_n(&behind->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	behind->r = tables_apply(live.tables, &part, NULL, NULL);
	behind->after_reader = stall->left;
	__atomic_store_n(&behind->done, true, __ATOMIC_RELEASE);
	return NULL;
}

// It sleeps within a system call that waits for programs.
static bool is_blocked(pid_t tid)
{
	char path[64], text[32] = "";
	FILE *f;
	long nr;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
	f = fopen(path, "re");
	if (!f || !fgets(text, sizeof(text), f))
		text[0] = 0;
	if (f)
		fclose(f);
	nr = strtol(text, NULL, 10);
	return nr == SYS_membarrier || nr == SYS_bpf;
}

// Steps that wait for the reader, who is let go when they do. True: they ended after it had gone on, or it had
// given up.
static bool run_until_reader(const struct plan *plan, uint32_t from, uint32_t n)
{
	struct behind behind = { .plan = plan, .from = from, .n = n };
	pthread_attr_t attr;
	pthread_t thread;

	on_cpu(&attr, cpus[0]);
	assert_int_equal(pthread_create(&thread, &attr, run_behind, &behind), 0);
	pthread_attr_destroy(&attr);
	while (!__atomic_load_n(&behind.done, __ATOMIC_ACQUIRE)) {
		pid_t tid = __atomic_load_n(&behind.tid, __ATOMIC_ACQUIRE);

		if (tid && is_blocked(tid))
			break;
		sched_yield();
	}
	stall->go = 1;
	pthread_join(thread, NULL);
	assert_ok(behind.r);
	return behind.after_reader || stall->lost;
}

// ---- one trial ----------------------------------------------------------------------------------------------------

struct tally {
	uint32_t trials, held, waited, old, new, mixed, lost;
	uint32_t waited_at[STEP_MAX];
};

struct trial {
	const struct scenario *scenario;
	enum flaw flaw;
	struct live_flow flow;
	bool known;
	uint32_t place, load; // where the reader is held: before a group of steps, before a load
	uint32_t state;
	uint32_t words[WORDS], nwords; // what it may say
	struct reader reader;
	bool started, held, gone; // gone: let go
	bool flipped_at_start, flipped_at_end;
	uint32_t places; // of the first plan
	struct tally *tally;
};

static bool flips_pod(const struct trial *trial, const struct plan *plan, uint32_t from, uint32_t n)
{
	bool flips = false, later = false;

	for (uint32_t i = from; i < plan->nsteps; i++)
		if (plan->steps[i].kind == STEP_ENDPOINT &&
		    plan->steps[i].endpoint.slot == trial->flow.slot)
			*(i < from + n ? &flips : &later) = true;
	return flips && !later;
}

static void step_group(struct trial *trial, const struct plan *plan, uint32_t from, uint32_t n)
{
	enum step_kind kind = plan->steps[from].kind;

	if (!trial->held || trial->gone || !waits(kind)) {
		run(plan, from, n);
		return;
	}
	trial->gone = true;
	if (!run_until_reader(plan, from, n))
		fail_msg("%s did not wait for the reader", step_kind_name(kind));
	trial->tally->waited++;
	trial->tally->waited_at[kind]++;
}

static void start_reader(struct trial *trial)
{
	trial->started = true;
	reader_init(&trial->reader, &trial->flow, trial->known);
	trial->held = reader_start(&trial->reader, trial->load);
	trial->tally->held += trial->held;
}

static void change(struct trial *trial)
{
	_cleanup_(plan_freep) struct plan *plan = NULL;
	uint32_t groups = 0;
	bool flipped = false;

	trial->state = (trial->state + 1) % trial->scenario->states;
	trial->scenario->put(trial->state);
	plan = live_plan(&live);
	trial->words[trial->nwords++] = live_eval(&live, &trial->flow).verdict;
	spoil(plan, trial->flaw);
	for (uint32_t from = 0, n; from < plan->nsteps; from += n) {
		n = group(plan, from);
		if (!trial->started && groups++ == trial->place) {
			start_reader(trial);
			trial->flipped_at_start = flipped;
		}
		trial->places += trial->nwords == 2;
		step_group(trial, plan, from, n);
		flipped |= flips_pod(trial, plan, from, n);
		if (!trial->gone)
			trial->flipped_at_end = flipped;
	}
}

static bool fits(const struct trial *trial, uint32_t word)
{
	uint32_t old = trial->words[0], new = trial->words[1];

	if (trial->scenario->flips && trial->nwords == 2 && trial->held) {
		if (trial->load && !trial->flipped_at_start)
			return word == old; // it knows its matrix since before the switch
		if (!trial->load && trial->flipped_at_end)
			return word == new; // it had read nothing yet
	}
	for (uint32_t i = 0; i < trial->nwords; i++)
		if (word == trial->words[i])
			return true;
	return false;
}

// False: there is nothing to judge, it is to be tried again.
static bool judge_reader(struct trial *trial)
{
	struct tally *tally = trial->tally;
	uint32_t word, new = trial->words[trial->nwords - 1];

	if (!reader_end(&trial->reader)) {
		if (++tally->lost > LOST_MAX)
			fail_msg("%u readers were not let go in time", tally->lost);
		assert_ok(tables_denied_clear(live.tables, 0, 0));
		live_forget(&live, &trial->reader.flow);
		return false;
	}
	word = reader_word(&trial->reader);
	tally->trials++;
	tally->old += word == trial->words[0];
	tally->new += word != trial->words[0] && fits(trial, word);
	tally->mixed += !fits(trial, word);
	if (trial->flaw == SOUND && !fits(trial, word))
		fail_msg(
			"to state %u, %s port %u, held at place %u before load %u: %x, old %x, new %x",
			trial->state, trial->flow.remote, trial->flow.local_port, trial->place,
			trial->load, word, trial->words[0], new);
	if (trial->flaw == SOUND)
		assert_int_equal(next_word(&trial->reader), new);
	live_forget(&live, &trial->reader.flow);
	return true;
}

// A reader that nothing waits for lives through the next plans, too.
static bool run_trial(struct trial *trial)
{
	trial->words[trial->nwords++] = live_eval(&live, &trial->flow).verdict;
	change(trial);
	while (trial->held && !trial->gone && trial->nwords < trial->scenario->states)
		change(trial);
	return !trial->started || judge_reader(trial);
}

// Of all places and loads one in so many is tried (STALL_ALL=1, as in `make stall`: each); of wrong plans all until one shows.
static uint32_t stride(const struct trial *trial)
{
	return trial->flaw || getenv("STALL_ALL") ? 1 : 8;
}

static void place_flow(struct trial *trial, uint32_t place)
{
	uint32_t n = place + trial->load;

	trial->place = place;
	trial->flow = trial->scenario->flows[n % trial->scenario->nflows];
	trial->known = n / trial->scenario->nflows % 2;
}

// A reader before this load at each place of the plan that begins in this state. False: none was held.
static bool run_places(const struct trial *model)
{
	uint32_t places = 1, skip = (model->load * 2 + model->state * 3) % stride(model);
	bool held = false;

	for (uint32_t place = 0; place < places; place++) {
		struct trial trial = *model;

		if (place && (place + skip) % stride(model))
			continue;
		if (model->flaw && model->tally->mixed)
			return false;
		model->scenario->put(model->state);
		live_apply(&live);
		place_flow(&trial, place);
		if (!run_trial(&trial)) {
			place--;
			continue;
		}
		held |= trial.held;
		places = trial.places;
	}
	return held;
}

static void report(const struct tally *tally)
{
	print_message("%u readers, %u held, %u waited for (wait %u, new %u, free %u): "
		      "%u old, %u new, %u mixed; %u gave up\n",
		      tally->trials, tally->held, tally->waited, tally->waited_at[STEP_WAIT],
		      tally->waited_at[STEP_MATRIX_NEW], tally->waited_at[STEP_MATRIX_FREE],
		      tally->old, tally->new, tally->mixed, tally->lost);
}

static struct tally run_scenario(const struct scenario *scenario, enum flaw flaw, uint32_t load)
{
	struct tally tally = { 0 };

	if (scenario->dense_cells)
		live.judge.policy->limits.dense_cells = scenario->dense_cells;
	for (uint32_t state = 0; state < scenario->starts; state++) {
		struct trial trial = { .scenario = scenario,
				       .flaw = flaw,
				       .state = state,
				       .load = load,
				       .tally = &tally };

		while (run_places(&trial))
			trial.load++;
	}
	report(&tally);
	return tally;
}

// One reader before each load, at one place of the first plan of a fresh compiler.
static struct tally run_fresh(const struct scenario *scenario, enum flaw flaw, uint32_t place)
{
	struct tally tally = { 0 };
	bool held = true;

	for (uint32_t load = 0; held;) {
		struct trial trial = {
			.scenario = scenario, .flaw = flaw, .load = load, .tally = &tally
		};

		scene_stop();
		scene_start();
		scenario->put(0);
		live_apply(&live);
		place_flow(&trial, place);
		if (run_trial(&trial)) {
			held = trial.held;
			load++;
		}
	}
	report(&tally);
	return tally;
}

static void assert_sound(struct tally tally)
{
	assert_int_equal(tally.mixed, 0);
	assert_true(tally.held && tally.old + tally.new == tally.trials);
}

// ---- tests ----------------------------------------------------------------------------------------------------

static void classes_split_and_merge(void **state)
{
	assert_sound(run_scenario(&split, SOUND, 0));
}

static void classes_cross(void **state)
{
	assert_sound(run_scenario(&cross, SOUND, 0));
}

static void classes_cross_in_sparse_matrices(void **state)
{
	assert_sound(run_scenario(&sparse, SOUND, 0));
}

static void classes_cross_and_waits_are_without_membarrier(void **state)
{
	feature_force_mask(FEATURE_BIT(FEATURE_MEMBARRIER));
	assert_sound(run_scenario(&cross, SOUND, 3));
}

static void verdicts_change_places(void **state)
{
	assert_sound(run_scenario(&verdicts, SOUND, 0));
}

static void port_classes_split_and_merge(void **state)
{
	assert_sound(run_scenario(&ports, SOUND, 0));
}

static void nested_prefixes_come_and_go(void **state)
{
	assert_sound(run_scenario(&nested, SOUND, 0));
}

static void a_peer_is_relabelled(void **state)
{
	assert_sound(run_scenario(&relabel, SOUND, 0));
}

static void a_policy_changes_what_services_are(void **state)
{
	assert_sound(run_scenario(&services, SOUND, 0));
}

static void backends_of_services_change(void **state)
{
	assert_sound(run_scenario(&backends, SOUND, 0));
}

static void a_pod_leaves_a_policy_that_stays(void **state)
{
	assert_sound(run_scenario(&leave, SOUND, 0));
}

// The kernel's own wait for readers of the smaller image, then the plan's.
static void a_matrix_grows(void **state)
{
	struct tally under = run_fresh(&growth, SOUND, 0), after = run_fresh(&growth, SOUND, 1);

	assert_sound(under);
	assert_sound(after);
	assert_true(under.waited_at[STEP_MATRIX_NEW] && after.waited_at[STEP_WAIT]);
}

static void an_id_is_used_again(void **state)
{
	struct tally tally = run_fresh(&reuse, SOUND, 0);

	assert_sound(tally);
	assert_true(tally.waited_at[STEP_WAIT]);
}

// ---- plans that are wrong on purpose: a mixture is found ---------------------------------------------------------

static void without_the_wait_after_a_flip_a_reader_finds_no_matrix(void **state)
{
	assert_true(run_scenario(&verdicts, NO_WAIT_AFTER_FLIP, 0).mixed);
}

static void without_the_wait_before_merging_old_cells_judge_new_classes(void **state)
{
	assert_true(run_scenario(&cross, NO_WAIT_BEFORE_MERGE, 0).mixed);
}

static void without_the_wait_before_merging_prefixes_are_mistaken(void **state)
{
	assert_true(run_scenario(&nested, NO_WAIT_BEFORE_MERGE, 2).mixed);
}

static void when_a_matrix_grows_last_a_class_is_unknown(void **state)
{
	assert_true(run_fresh(&growth, GROW_LAST, 2).mixed);
}

static void without_waits_an_id_is_taken_for_another_class(void **state)
{
	assert_true(run_fresh(&reuse, NO_WAITS, 0).mixed);
}

static void when_pods_flip_first_new_cells_judge_old_classes(void **state)
{
	assert_true(run_scenario(&cross, FLIP_FIRST, 4).mixed);
}

static void when_addresses_move_first_a_class_is_unknown(void **state)
{
	assert_true(run_scenario(&split, MOVES_FIRST, 4).mixed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stall_setup, stall_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(classes_split_and_merge),
		TEST(classes_cross),
		TEST(classes_cross_in_sparse_matrices),
		TEST(classes_cross_and_waits_are_without_membarrier),
		TEST(verdicts_change_places),
		TEST(port_classes_split_and_merge),
		TEST(nested_prefixes_come_and_go),
		TEST(a_peer_is_relabelled),
		TEST(a_policy_changes_what_services_are),
		TEST(backends_of_services_change),
		TEST(a_pod_leaves_a_policy_that_stays),
		TEST(a_matrix_grows),
		TEST(an_id_is_used_again),
		TEST(without_the_wait_after_a_flip_a_reader_finds_no_matrix),
		TEST(without_the_wait_before_merging_old_cells_judge_new_classes),
		TEST(without_the_wait_before_merging_prefixes_are_mistaken),
		TEST(when_a_matrix_grows_last_a_class_is_unknown),
		TEST(without_waits_an_id_is_taken_for_another_class),
		TEST(when_pods_flip_first_new_cells_judge_old_classes),
		TEST(when_addresses_move_first_a_class_is_unknown),
	};

	return reader_main() < 0 ? 1 : cmocka_run_group_tests_name("stall", tests, NULL, NULL);
}
