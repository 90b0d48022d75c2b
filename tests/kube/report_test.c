// SPDX-License-Identifier: Apache-2.0
// report_test.c - what agents write to an API server: three of them beside the stand-in, on one loop.
#include "tests/harness/test.h"

#include "agent/report/notice.h"
#include "agent/report/report.h"
#include "tests/kube/mirror.h"

#define AGENTS 3
#define LEASE_SEC 3
#define NS "bulkhead-system"
#define LEASES "leases"
#define CNPS "clusternetworkpolicies"
#define TAINT "bulkhead.io/agent-not-ready"

static struct standin standin;
static struct mirror mirror; // its loop and client are every agent's

struct wrong {
	enum kind kind;
	const char *ns, *name, *text;
};

struct agent {
	struct report *report;
	struct store *store;
	char node[16];
	struct wrong wrong[8]; // what its compiler says
	size_t nwrong;
	bool ready;
	char problem[ERR_TEXT_BYTES + 64]; // the last one of reporting
};

static struct agent agents[AGENTS];

// ---- the rig ------------------------------------------------------------------------------------------------------

static void problems(void *arg, report_problem_fn fn, void *fn_arg)
{
	const struct agent *agent = arg;

	for (size_t i = 0; i < agent->nwrong; i++)
		fn(fn_arg, agent->wrong[i].kind, agent->wrong[i].ns, agent->wrong[i].name, agent->wrong[i].text);
}

static bool ready(void *arg)
{
	return ((const struct agent *)arg)->ready;
}

static void problem(void *arg, const char *where, const char *text)
{
	struct agent *agent = arg;

	if (text)
		snprintf(agent->problem, sizeof(agent->problem), "%s: %s", where, text);
}

static void agent_start_as(struct agent *agent, const char *node, const char *taint)
{
	struct report_hooks hooks = { agent, problems, ready, problem };
	struct report_config config = { agent->node, NS, LEASE_SEC, 1800, taint };

	snprintf(agent->node, sizeof(agent->node), "%s", node);
	assert_ok(store_new(&agent->store));
	assert_ok(report_new(mirror.base, mirror.http, agent->store, &config, &hooks, &agent->report));
}

static void agent_start(size_t i, const char *taint)
{
	char node[16];

	snprintf(node, sizeof(node), "node-%zu", i);
	agent_start_as(&agents[i], node, taint);
}

// As if it was killed: nothing is said.
static void agent_kill(struct agent *agent)
{
	report_free(agent->report);
	store_free(agent->store);
	*agent = (struct agent){ 0 };
}

static void agent_knows(struct agent *agent, const char *text)
{
	_cleanup_json_ struct json_object *json = test_json(text);
	struct object *object;
	struct err err = { 0 };
	enum kind kind = object_kind_find(
		json_object_get_string(json_object_object_get(json, "apiVersion")),
		json_object_get_string(json_object_object_get(json, "kind")));

	assert_ok_err(object_parse(kind, json, &object, &err), &err);
	assert_ok(store_put(agent->store, object));
}

static int rig_up(void **state)
{
	standin_start(&standin, NULL);
	mirror_open(&mirror, &standin, "kubeconfig");
	return 0;
}

static int rig_down(void **state)
{
	for (size_t i = 0; i < AGENTS; i++)
		agent_kill(&agents[i]);
	mirror_close(&mirror);
	standin_stop(&standin);
	return 0;
}

static struct json_object *at(struct json_object *json, const char *way)
{
	_cleanup_free_ char *copy = strdup(way);
	char *rest = copy, *key;

	while (json && (key = strsep(&rest, ".")))
		json = json_object_object_get(json, key);
	return json;
}

static const char *text_at(struct json_object *json, const char *way)
{
	const char *text = json_object_get_string(at(json, way));

	return text ? text : "";
}

static bool leads(const struct agent *agent)
{
	_cleanup_json_ struct json_object *json = agent->report ? report_describe(agent->report) : NULL;

	return json && json_object_get_boolean(at(json, "leading"));
}

static struct agent *leader(void)
{
	struct agent *found = NULL;

	for (size_t i = 0; i < AGENTS; i++) {
		if (!leads(&agents[i]))
			continue;
		assert_null(found); // never two
		found = &agents[i];
	}
	return found;
}

static bool somebody_leads(struct mirror *m, void *arg)
{
	return leader();
}

// Everybody knows who.
static bool all_know(struct mirror *m, void *arg)
{
	struct agent *first = leader();

	for (size_t i = 0; first && i < AGENTS; i++) {
		_cleanup_json_ struct json_object *json = agents[i].report ? report_describe(agents[i].report) : NULL;

		if (json && strcmp(text_at(json, "leader"), first->node))
			return false;
	}
	return first;
}

static struct agent *await_leader(void)
{
	mirror_until(&mirror, "one agent leads", somebody_leads, NULL);
	return leader();
}

static int64_t asked(const char *on)
{
	_cleanup_json_ struct json_object *status = standin_ask(&standin, "{'op':'status'}");

	return json_object_get_int64(json_object_object_get(json_object_object_get(status, "requests"), on));
}

struct count {
	const char *on;
	int64_t n;
};

static bool was_asked(struct mirror *m, void *arg)
{
	const struct count *count = arg;

	leader();
	return asked(count->on) >= count->n;
}

static void await_asked(const char *on, int64_t n)
{
	mirror_until(&mirror, on, was_asked, &(struct count){ on, n });
}

// The caller puts it; NULL: there is none.
static struct json_object *stored(const char *plural, const char *ns, const char *name)
{
	_cleanup_json_ struct json_object *all = objects_of_standin(&standin, plural);
	char key[300];

	snprintf(key, sizeof(key), "%s/%s", ns, name);
	return json_object_get(json_object_object_get(all, key));
}

// ---- the Lease ----------------------------------------------------------------------------------------------------

static void one_of_three_leads_and_is_followed(void **state)
{
	_cleanup_json_ struct json_object *before = NULL, *after = NULL;
	struct agent *first;
	char name[16];

	for (size_t i = 0; i < AGENTS; i++)
		agent_start(i, NULL);
	mirror_until(&mirror, "all know one leader", all_know, NULL);
	first = leader();
	before = stored(LEASES, NS, "bulkhead");
	assert_str(text_at(before, "spec.holderIdentity"), first->node);
	assert_int_equal(json_object_get_int(at(before, "spec.leaseDurationSeconds")), LEASE_SEC);
	await_asked("update leases", 3); // it goes on
	assert_ptr_equal(await_leader(), first);
	snprintf(name, sizeof(name), "%s", first->node);
	agent_kill(first);
	assert_str_lacks(await_leader()->node, name);
	mirror_until(&mirror, "the others know", all_know, NULL);
	after = stored(LEASES, NS, "bulkhead");
	assert_int_equal(json_object_get_int(at(after, "spec.leaseTransitions")), 1);
}

static void a_leader_that_leaves_gives_it_back(void **state)
{
	_cleanup_json_ struct json_object *lease = NULL;
	struct agent *first;

	for (size_t i = 0; i < 2; i++)
		agent_start(i, NULL);
	first = await_leader();
	report_leave(first->report);
	lease = stored(LEASES, NS, "bulkhead");
	assert_str(text_at(lease, "spec.holderIdentity"), "");
	agent_kill(first);
	assert_non_null(await_leader());
}

static void leaving_waits_for_no_server(void **state)
{
	struct agent *first;

	agent_start(0, NULL);
	first = await_leader();
	standin_do(&standin, "{'op':'fault','on':'* *','times':-1,'silent':true}");
	report_leave(first->report); // returns
	assert_false(leads(first));
}

static void conflicts_and_broken_answers_are_survived(void **state)
{
	char head[PATH_MAX], body[PATH_MAX];

	test_shared(head, "fixtures/apiserver/errors/409-conflict.headers");
	test_shared(body, "fixtures/apiserver/errors/409-conflict.json");
	agent_start(0, NULL);
	await_leader();
	standin_do(&standin, "{'op':'fault','on':'update leases','head':'%s','body':'%s','times':2}", head, body);
	mirror_until(&mirror, "the conflicts are given", mirror_played, NULL);
	await_leader();
	standin_do(&standin, "{'op':'fault','on':'update leases','cut':10}");
	standin_do(&standin, "{'op':'fault','on':'get leases','status':503,'retry_after':1}");
	mirror_until(&mirror, "the answer breaks off", mirror_played, NULL);
	await_leader();
}

// Somebody else's write between our read and our write: found by the version, nothing of it is lost.
static void labels_of_others_stay(void **state)
{
	_cleanup_json_ struct json_object *lease = NULL;

	agent_start(0, NULL);
	await_leader();
	standin_do(&standin,
		   "{'op':'put','object':{'apiVersion':'coordination.k8s.io/v1','kind':'Lease','metadata':{'name':"
		   "'bulkhead','namespace':'" NS "','labels':{'team':'x'}},'spec':{'holderIdentity':''}}}");
	await_asked("update leases", asked("update leases") + 3);
	await_leader();
	lease = stored(LEASES, NS, "bulkhead");
	assert_str(text_at(lease, "metadata.labels.team"), "x");
	assert_str(text_at(lease, "spec.holderIdentity"), "node-0");
}

static bool has_problem(struct mirror *m, void *arg)
{
	return strstr(agents[0].problem, arg);
}

static void what_is_forbidden_is_named(void **state)
{
	char dir[PATH_MAX], path[PATH_MAX + 16];

	test_mkdir(dir);
	test_write(dir, "none.yaml", "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\n"
				     "metadata: {name: none}\nrules: []\n");
	snprintf(path, sizeof(path), "%s/none.yaml", dir);
	standin_do(&standin, "{'op':'rbac','path':'%s'}", path);
	agent_start(0, NULL);
	mirror_until(&mirror, "the missing right is named", has_problem,
		     (void *)"report lease: get of leases.coordination.k8s.io: is forbidden for "
			     "system:serviceaccount:bulkhead-system:bulkhead");
	test_rmdir(dir);
}

// ---- conditions ---------------------------------------------------------------------------------------------------

#define CNP(name, generation, spec)                                                                                    \
	"{'apiVersion':'policy.networking.k8s.io/v1alpha2','kind':'ClusterNetworkPolicy','metadata':{'name':'" name   \
	"','uid':'uid-" name "','generation':" generation "},'spec':{'tier':'Admin','priority':1,"                   \
	"'subject':{'namespaces':{}}," spec "}"
#define GOOD "'ingress':[{'action':'Deny','from':[{'namespaces':{}}]}]"
#define BAD "'egress':[{'action':'Accept','to':[{'domainNames':['*.example.com']}]}]"
#define OTHERS ",'status':{'conditions':[{'type':'Other','status':'True','reason':'R','message':'',"                   \
	       "'lastTransitionTime':'2020-01-01T00:00:00Z'}]}"

static struct json_object *condition(struct json_object *object, const char *type)
{
	struct json_object *list = at(object, "status.conditions");

	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		if (!strcmp(text_at(json_object_array_get_idx(list, i), "type"), type))
			return json_object_array_get_idx(list, i);
	return NULL;
}

static void changed(void)
{
	for (size_t i = 0; i < AGENTS; i++)
		if (agents[i].report)
			report_policy_changed(agents[i].report);
}

// A whole round after whatever came before it.
static void await_round(void)
{
	int64_t lists = asked("list " CNPS);

	changed();
	await_asked("list " CNPS, lists + 1);
	await_leader();
	await_asked("update leases", asked("update leases") + 1); // what it led to has been sent
}

static void conditions_are_said_once(void **state)
{
	_cleanup_json_ struct json_object *good = NULL, *bad = NULL, *again = NULL;
	struct json_object *c;

	standin_do(&standin, "{'op':'put','objects':[" CNP("good", "3", GOOD) OTHERS "}," CNP("bad", "1", BAD) "}]}");
	for (size_t i = 0; i < AGENTS; i++)
		agent_start(i, NULL);
	await_asked("patch clusternetworkpolicies/status", 2);
	await_round();
	good = stored(CNPS, "", "good");
	bad = stored(CNPS, "", "bad");
	c = condition(good, "bulkhead.io/Accepted");
	assert_str(text_at(c, "status"), "True");
	assert_str(text_at(c, "reason"), "Accepted");
	assert_int_equal(json_object_get_int(at(c, "observedGeneration")), 3);
	assert_non_null(condition(good, "Other"));
	c = condition(bad, "bulkhead.io/Accepted");
	assert_str(text_at(c, "status"), "False");
	assert_str(text_at(c, "reason"), "NotEnforcedAsWritten");
	assert_str_contains(text_at(c, "message"), "domainNames");
	assert_str_contains(json_object_to_json_string(at(bad, "metadata.managedFields")), "\"bulkhead\"");

	// Nothing more to say: not after changes elsewhere, nor by the next leader.
	await_round();
	agent_kill(leader());
	await_leader();
	await_round();
	assert_int_equal(asked("patch clusternetworkpolicies/status"), 2);

	// A new generation with the same verdict: its number, not the time.
	again = json_object_get(c);
	standin_do(&standin, "{'op':'put','object':" CNP("bad", "2", BAD) ",'status':{'conditions':[%s]}}}",
		   json_object_to_json_string(c));
	await_round();
	assert_int_equal(asked("patch clusternetworkpolicies/status"), 3);
	json_object_put(bad);
	bad = stored(CNPS, "", "bad");
	c = condition(bad, "bulkhead.io/Accepted");
	assert_int_equal(json_object_get_int(at(c, "observedGeneration")), 2);
	assert_str(text_at(c, "lastTransitionTime"), text_at(again, "lastTransitionTime"));
}

static void a_condition_turns_and_is_mended(void **state)
{
	_cleanup_json_ struct json_object *policy = NULL;

	standin_do(&standin, "{'op':'put','object':" CNP("p", "7", GOOD) ",'status':{'conditions':["
			     "{'type':'bulkhead.io/Accepted','status':'False','reason':'R','message':'old',"
			     "'observedGeneration':7,'lastTransitionTime':'2020-01-01T00:00:00Z'}]}}}");
	agent_start(0, NULL);
	await_asked("patch clusternetworkpolicies/status", 1);
	await_round();
	policy = stored(CNPS, "", "p");
	assert_str(text_at(condition(policy, "bulkhead.io/Accepted"), "status"), "True");
	assert_str_lacks(text_at(condition(policy, "bulkhead.io/Accepted"), "lastTransitionTime"), "2020-01-01");
}

// A limit of the leader's node: the object is fine, what becomes of it is not.
static void what_the_compiler_refuses_is_said(void **state)
{
	_cleanup_json_ struct json_object *policy = NULL;

	standin_do(&standin, "{'op':'put','object':" CNP("p", "1", GOOD) "}}");
	agents[0].wrong[0] = (struct wrong){ KIND_CLUSTERNETPOL, NULL, "p", "needs 20 of 16 peers" };
	agents[0].nwrong = 1;
	agent_start(0, NULL);
	await_asked("patch clusternetworkpolicies/status", 1);
	await_round();
	policy = stored(CNPS, "", "p");
	assert_str(text_at(condition(policy, "bulkhead.io/Accepted"), "reason"), "OverLimit");
	assert_str_contains(text_at(condition(policy, "bulkhead.io/Accepted"), "message"),
			    "on node node-0: needs 20 of 16 peers");
}

static void an_absent_definition_is_nothing_to_say(void **state)
{
	standin_do(&standin, "{'op':'crd','resource':'" CNPS "','present':false}");
	agent_start(0, NULL);
	await_asked("list " CNPS, 1);
	await_leader();
	assert_str(agents[0].problem, "");
}

// ---- Events -------------------------------------------------------------------------------------------------------

static size_t events(const char *ns, struct json_object **retone)
{
	_cleanup_json_ struct json_object *all = objects_of_standin(&standin, "events");
	size_t n = 0;

	json_object_object_foreach(all, name, object)
	{
		if (strncmp(name, ns, strlen(ns)))
			continue;
		n++;
		json_object_put(*retone);
		*retone = json_object_get(object);
	}
	return n;
}

#define NETPOL(name, spec)                                                                                             \
	"{'apiVersion':'networking.k8s.io/v1','kind':'NetworkPolicy','metadata':{'name':'" name                      \
	"','namespace':'shop','uid':'uid-" name "'},'spec':{'podSelector':{}" spec "}}"

// What all nodes see is said by one of them; what each node sees is one Event all the same.
static void events_are_said_once(void **state)
{
	_cleanup_json_ struct json_object *one = NULL;
	const struct object *object;

	for (size_t i = 0; i < AGENTS; i++) {
		agent_start(i, NULL);
		agent_knows(&agents[i], NETPOL("invalid", ",'ingress':[{'ports':[{'port':0}]}]"));
		object = store_find(agents[i].store, KIND_NETPOL, "shop", "invalid");
		assert_non_null(object->problem);
		agents[i].wrong[0] = (struct wrong){ KIND_NETPOL, "shop", "invalid", object->problem };
		agents[i].nwrong = 1;
		report_policy_changed(agents[i].report);
	}
	await_asked("create events", 1);
	mirror_until(&mirror, "all know one leader", all_know, NULL);
	changed();
	await_round();
	assert_int_equal(asked("create events"), 1);
	assert_int_equal(events("shop/", &one), 1);
	assert_str(text_at(one, "type"), "Warning");
	assert_str(text_at(one, "reason"), "NotEnforcedAsWritten");
	assert_str(text_at(one, "involvedObject.kind"), "NetworkPolicy");
	assert_str(text_at(one, "involvedObject.uid"), "uid-invalid");
	assert_str_contains(text_at(one, "message"), "spec.ingress[0].ports[0].port");

	for (size_t i = 0; i < AGENTS; i++) {
		agents[i].wrong[0] = (struct wrong){ KIND_NETPOL, "shop", "invalid", "needs 20 of 16 peers" };
		report_compiled(agents[i].report);
	}
	await_asked("create events", 1 + AGENTS);
	await_round();
	assert_int_equal(asked("create events"), 1 + AGENTS);
	assert_int_equal(events("shop/", &one), 2);
	assert_int_equal(asked("patch events"), 0);
}

// The bucket is empty after a burst; a cluster-wide object's Event is in `default`.
static void many_events_come_slowly(void **state)
{
	static char names[8][8];
	int64_t began = reflect_now_ms();
	_cleanup_json_ struct json_object *one = NULL;

	agent_start(0, NULL);
	await_leader();
	for (size_t round = 0; round < 3; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
			snprintf(names[i], sizeof(names[i]), "p%zu-%zu", round, i);
			agents[0].wrong[i] = (struct wrong){ KIND_CLUSTERNETPOL, NULL, names[i], "over" };
		}
		agents[0].nwrong = ARRAY_SIZE(names);
		report_compiled(agents[0].report);
		await_round();
	}
	assert_in_range(events("default/", &one), NOTICE_BURST,
			NOTICE_BURST + (reflect_now_ms() - began) / NOTICE_REFILL_MS + 1);
}

// ---- the startup taint --------------------------------------------------------------------------------------------

#define NODE(taints)                                                                                                   \
	"{'op':'put','object':{'apiVersion':'v1','kind':'Node','metadata':{'name':'node-0','uid':'uid-0'},'spec':"    \
	"{'podCIDR':'10.0.0.0/24','taints':[" taints "]}}}"
#define OURS "{'key':'" TAINT "','effect':'NoSchedule'}"
#define THEIRS "{'key':'node.kubernetes.io/unschedulable','effect':'NoSchedule'}"

static const char *taints(struct json_object **node)
{
	json_object_put(*node);
	*node = stored("nodes", "", "node-0");
	return json_object_to_json_string_ext(at(*node, "spec"), JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}

static bool is_gone(struct mirror *m, void *arg)
{
	_cleanup_json_ struct json_object *json = report_describe(agents[0].report);

	return !strcmp(text_at(json, "startup_taint"), "gone");
}

static void the_taint_goes_when_the_agent_is_ready(void **state)
{
	_cleanup_json_ struct json_object *node = NULL;
	char head[PATH_MAX], body[PATH_MAX];

	test_shared(head, "fixtures/apiserver/errors/409-conflict.headers");
	test_shared(body, "fixtures/apiserver/errors/409-conflict.json");
	standin_do(&standin, NODE(THEIRS "," OURS));
	agent_start(0, TAINT);
	await_leader();
	assert_str_contains(taints(&node), TAINT);
	assert_int_equal(asked("get nodes"), 0);
	standin_do(&standin, "{'op':'fault','on':'patch nodes','head':'%s','body':'%s','times':2}", head, body);
	agents[0].ready = true;
	mirror_until(&mirror, "the taint is gone", is_gone, NULL);
	assert_str_lacks(taints(&node), TAINT);
	assert_str_contains(taints(&node), "unschedulable");
	assert_str_contains(taints(&node), "10.0.0.0/24");
	assert_int_equal(asked("patch nodes"), 3);
}

// Between our look and our write somebody taints the node: theirs stays.
static void taints_of_others_are_never_lost(void **state)
{
	_cleanup_json_ struct json_object *node = NULL;

	standin_do(&standin, NODE(OURS));
	standin_do(&standin, "{'op':'fault','on':'get nodes','delay_ms':1}");
	standin_do(&standin, "{'op':'fault','on':'patch nodes','delay_ms':400}");
	agents[0].ready = true;
	agent_start(0, TAINT);
	await_asked("patch nodes", 1); // it is on its way
	standin_do(&standin, NODE(OURS "," THEIRS));
	mirror_until(&mirror, "the taint is gone", is_gone, NULL);
	assert_str_lacks(taints(&node), TAINT);
	assert_str_contains(taints(&node), "unschedulable");
}

static void a_node_without_the_taint_is_not_written_to(void **state)
{
	standin_do(&standin, NODE(THEIRS));
	agents[0].ready = true;
	agent_start(0, TAINT);
	mirror_until(&mirror, "it has been looked at", is_gone, NULL);
	assert_int_equal(asked("patch nodes"), 0);
	// The kubelet registers the node anew.
	standin_do(&standin, "{'op':'delete','resource':'nodes','name':'node-0'}");
	standin_do(&standin, "{'op':'put','object':{'apiVersion':'v1','kind':'Node','metadata':{'name':'node-0','uid':"
			     "'uid-1'},'spec':{'taints':[" OURS "]}}}");
	agent_knows(&agents[0], "{'apiVersion':'v1','kind':'Node','metadata':{'name':'node-0','uid':'uid-1'}}");
	report_compiled(agents[0].report);
	await_asked("patch nodes", 1);
	mirror_until(&mirror, "the taint is gone again", is_gone, NULL);
}

// ---- what a real server answered ----------------------------------------------------------------------------------

static void script_recorded(const char *on, const char *name)
{
	char file[128], head[PATH_MAX], body[PATH_MAX];

	snprintf(file, sizeof(file), "fixtures/apiserver/write/%s.headers", name);
	test_shared(head, file);
	snprintf(file, sizeof(file), "fixtures/apiserver/write/%s.json", name);
	standin_do(&standin, "{'op':'fault','on':'%s','head':'%s','body':'%s'}", on, head, test_shared(body, file));
}

static int64_t told(const struct agent *agent, const char *way)
{
	_cleanup_json_ struct json_object *json = report_describe(agent->report);

	assert_non_null(at(json, way));
	return json_object_get_int64(at(json, way));
}

// Recorded of a client that said it was node-a.
static void a_recorded_lease_is_held(void **state)
{
	script_recorded("create leases", "lease-create");
	agent_start_as(&agents[0], "node-a", NULL);
	await_leader();
	assert_int_equal(asked("create leases"), 1);
	assert_str(agents[0].problem, "");
}

static void recorded_answers_end_a_write(void **state)
{
	script_recorded("create events", "event-create");
	script_recorded("patch clusternetworkpolicies/status", "cnp-status-apply");
	standin_do(&standin, "{'op':'put','object':" CNP("p", "1", GOOD) "}}");
	agent_start(0, NULL);
	await_leader();
	agents[0].wrong[0] = (struct wrong){ KIND_CLUSTERNETPOL, NULL, "q", "needs 20 of 16 peers" };
	agents[0].nwrong = 1;
	report_compiled(agents[0].report);
	mirror_until(&mirror, "both are written", mirror_played, NULL);
	await_round();
	assert_str(agents[0].problem, "");
	assert_int_equal(told(&agents[0], "events.failures"), 0);
	assert_int_equal(told(&agents[0], "events.sent"), 1);
	assert_int_equal(asked("create events") + asked("patch events"), 1);
	assert_int_equal(told(&agents[0], "conditions.failures"), 0);
	// the answer was a recorded one, so the stand-in's object still lacks it
	assert_int_equal(told(&agents[0], "conditions.writes"), asked("patch clusternetworkpolicies/status"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_of_three_leads_and_is_followed),
		TEST(a_leader_that_leaves_gives_it_back),
		TEST(leaving_waits_for_no_server),
		TEST(conflicts_and_broken_answers_are_survived),
		TEST(labels_of_others_stay),
		TEST(what_is_forbidden_is_named),
		TEST(conditions_are_said_once),
		TEST(a_condition_turns_and_is_mended),
		TEST(what_the_compiler_refuses_is_said),
		TEST(an_absent_definition_is_nothing_to_say),
		TEST(events_are_said_once),
		TEST(many_events_come_slowly),
		TEST(the_taint_goes_when_the_agent_is_ready),
		TEST(taints_of_others_are_never_lost),
		TEST(a_node_without_the_taint_is_not_written_to),
		TEST(a_recorded_lease_is_held),
		TEST(recorded_answers_end_a_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
