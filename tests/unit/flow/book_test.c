// SPDX-License-Identifier: Apache-2.0
// The book: who has an address, who had it at a time, what a workload is called, and what is forgotten.
#include "tests/harness/test.h"

#include <malloc.h>
#include <stdlib.h>

#include "agent/flow/book.h"
#include "agent/store/store.h"

#define SEC 1000000000ll

struct rig {
	struct store *store;
	struct book *book;
	int64_t now_ns;
};

static void on_changed(void *arg, const struct object *before, const struct object *after)
{
	struct rig *rig = arg;

	book_changed(rig->book, before, after, rig->now_ns);
}

static void rig_up(struct rig *rig, const struct book_limits *limits)
{
	*rig = (struct rig){ .now_ns = SEC };
	assert_ok(store_new(&rig->store));
	assert_ok(book_new(limits, &rig->book));
	assert_ok(store_subscribe(rig->store, on_changed, rig));
}

static void rig_down(struct rig *rig)
{
	book_free(rig->book);
	store_free(rig->store);
}

static void put(struct rig *rig, enum kind kind, const char *text)
{
	_cleanup_json_ struct json_object *json = test_json(text);
	struct object *object = NULL;
	struct err err = { 0 };

	assert_ok_err(object_parse(kind, json, &object, &err), &err);
	assert_int_equal(store_put(rig->store, object), 1);
}

static void put_pod(struct rig *rig, const char *name, const char *addr, const char *labels)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "{'metadata':{'namespace':'shop','name':'%s','labels':{%s}},'spec':{'nodeName':'n1'},'status':{'podIP':'%s'}}",
		 name, labels, addr);
	put(rig, KIND_POD, text);
}

static struct flow_card *find(struct rig *rig, const char *text, int64_t when_ns)
{
	struct bh_addr addr;

	assert_ok(addr_parse(text, &addr));
	return book_find(rig->book, &addr, when_ns);
}

// "pod shop/web app=web", "node n1", "world": what a card says, into a buffer that the next call uses again.
static const char *said(struct rig *rig, const char *addr, int64_t when_ns)
{
	static char text[256];
	struct flow_card *card = find(rig, addr, when_ns);
	int len = snprintf(text, sizeof(text), "%s", flow_who_name(card->who));

	if (card->name)
		len += snprintf(text + len, sizeof(text) - len, " %s%s%s", card->ns ? card->ns : "", card->ns ? "/" : "",
				card->name);
	for (uint32_t i = 0; i < card->nlabels; i++)
		len += snprintf(text + len, sizeof(text) - len, " %s=%s", card->labels[i].key, card->labels[i].value);
	flow_card_put(card);
	return text;
}

static void everybody_with_an_address(void **state)
{
	struct bh_addr host;
	struct rig rig;

	rig_up(&rig, NULL);
	put_pod(&rig, "web", "10.0.0.1", "'app':'web'");
	put(&rig, KIND_SERVICE, "{'metadata':{'namespace':'shop','name':'db'},'spec':{'clusterIP':'10.96.0.1','clusterIPs':['10.96.0.1'],"
				"'externalIPs':['192.0.2.7'],'ports':[{'port':80}]}}");
	put(&rig, KIND_NODE, "{'metadata':{'name':'n1'},'status':{'addresses':[{'type':'InternalIP','address':'172.20.0.1'}]}}");
	put(&rig, KIND_POD, "{'metadata':{'namespace':'kube-system','name':'proxy'},'spec':{'nodeName':'n1','hostNetwork':true},"
			    "'status':{'podIP':'172.20.0.1'}}");
	assert_ok(addr_parse("172.17.0.1", &host));
	book_host(rig.book, "n1", &host, true);
	assert_str(said(&rig, "10.0.0.1", SEC), "pod shop/web app=web");
	assert_str(said(&rig, "10.96.0.1", SEC), "service shop/db");
	assert_str(said(&rig, "192.0.2.7", SEC), "service shop/db");
	assert_str(said(&rig, "172.20.0.1", SEC), "node n1");
	assert_str(said(&rig, "172.17.0.1", SEC), "node n1");
	assert_str(said(&rig, "198.51.100.1", SEC), "world");
	book_host(rig.book, "n1", &host, false);
	assert_str(said(&rig, "172.17.0.1", SEC), "world");
	rig_down(&rig);
}

static void names_are_those_of_the_time(void **state)
{
	struct rig rig;

	rig_up(&rig, NULL);
	put_pod(&rig, "old", "10.0.0.1", "'app':'a'");
	assert_str(said(&rig, "10.0.0.1", rig.now_ns), "pod shop/old app=a");
	rig.now_ns = 10 * SEC;
	put_pod(&rig, "old", "10.0.0.1", "'app':'b'");
	rig.now_ns = 20 * SEC;
	assert_int_equal(store_remove(rig.store, KIND_POD, "shop", "old"), 1);
	rig.now_ns = 30 * SEC;
	put_pod(&rig, "new", "10.0.0.1", "'app':'c'");
	assert_str(said(&rig, "10.0.0.1", 5 * SEC), "pod shop/old app=a");
	assert_str(said(&rig, "10.0.0.1", 15 * SEC), "pod shop/old app=b");
	assert_str(said(&rig, "10.0.0.1", 25 * SEC), "pod shop/new app=c"); // it had it before it was known
	assert_str(said(&rig, "10.0.0.1", 35 * SEC), "pod shop/new app=c");
	rig_down(&rig);
}

static void a_finished_pod_has_no_address(void **state)
{
	struct rig rig;

	rig_up(&rig, NULL);
	put_pod(&rig, "job", "10.0.0.1", "");
	rig.now_ns = 10 * SEC;
	put(&rig, KIND_POD, "{'metadata':{'namespace':'shop','name':'job'},'spec':{'nodeName':'n1'},"
			    "'status':{'podIP':'10.0.0.1','phase':'Succeeded'}}");
	assert_str(said(&rig, "10.0.0.1", 11 * SEC), "world");
	assert_str(said(&rig, "10.0.0.1", 9 * SEC), "pod shop/job");
	rig_down(&rig);
}

// What nobody spoke of is kept for a while only; what somebody spoke of, as long as there is room.
static void the_past_is_bounded(void **state)
{
	struct book_limits limits = { .past = 2 };
	struct book_stats stats;
	char name[16], addr[16];
	struct rig rig;

	rig_up(&rig, &limits);
	put_pod(&rig, "unsaid", "10.0.0.9", "");
	for (int i = 1; i <= 3; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		snprintf(addr, sizeof(addr), "10.0.0.%d", i);
		put_pod(&rig, name, addr, "");
		said(&rig, addr, rig.now_ns);
	}
	rig.now_ns = 2 * SEC;
	store_remove(rig.store, KIND_POD, "shop", "unsaid");
	store_remove(rig.store, KIND_POD, "shop", "p1");
	store_remove(rig.store, KIND_POD, "shop", "p2");
	store_remove(rig.store, KIND_POD, "shop", "p3");
	assert_str(said(&rig, "10.0.0.1", SEC), "pod shop/p1");
	rig.now_ns = 2 * SEC + BOOK_LINGER_NS + 1;
	put_pod(&rig, "other", "10.0.1.1", "");
	assert_str(said(&rig, "10.0.0.9", SEC), "world");
	assert_str(said(&rig, "10.0.0.1", SEC), "world");
	assert_str(said(&rig, "10.0.0.2", SEC), "pod shop/p2");
	assert_str(said(&rig, "10.0.0.3", SEC), "pod shop/p3");
	book_stats(rig.book, &stats);
	assert_int_equal(stats.past, 2);
	assert_int_equal(stats.forgotten, 1);
	rig_down(&rig);
}

static void too_many_that_left_at_once(void **state)
{
	struct book_limits limits = { .linger = 1 };
	struct book_stats stats;
	struct rig rig;

	rig_up(&rig, &limits);
	put_pod(&rig, "a", "10.0.0.1", "");
	put_pod(&rig, "b", "10.0.0.2", "");
	store_remove(rig.store, KIND_POD, "shop", "a");
	store_remove(rig.store, KIND_POD, "shop", "b");
	assert_str(said(&rig, "10.0.0.1", 0), "world");
	assert_str(said(&rig, "10.0.0.2", 0), "pod shop/b");
	book_stats(rig.book, &stats);
	assert_int_equal(stats.forgotten, 1);
	rig_down(&rig);
}

// Cards that are made anew are the same; those that records hold stay as they are.
static void cards_of_the_present_are_bounded(void **state)
{
	struct book_limits limits = { .cards = 1 };
	struct book_stats stats;
	struct flow_card *kept;
	struct rig rig;

	rig_up(&rig, &limits);
	put_pod(&rig, "a", "10.0.0.1", "");
	put_pod(&rig, "b", "10.0.0.2", "");
	kept = find(&rig, "10.0.0.1", SEC);
	assert_str(said(&rig, "10.0.0.2", SEC), "pod shop/b");
	book_stats(rig.book, &stats);
	assert_int_equal(stats.cards, 1);
	assert_str(kept->name, "a");
	assert_str(said(&rig, "10.0.0.1", SEC), "pod shop/a");
	flow_card_put(kept);
	rig_down(&rig);
}

static void of_two_claims_the_one_that_policy_takes(void **state)
{
	struct bh_addr addr;
	struct flow_card *card;
	struct rig rig;

	rig_up(&rig, NULL);
	put(&rig, KIND_POD, "{'metadata':{'namespace':'shop','name':'old','creationTimestamp':'2026-01-01T00:00:00Z'},"
			    "'status':{'podIP':'10.0.0.1'}}");
	put(&rig, KIND_POD, "{'metadata':{'namespace':'shop','name':'young','creationTimestamp':'2026-01-02T00:00:00Z'},"
			    "'status':{'podIP':'10.0.0.1'}}");
	assert_str(said(&rig, "10.0.0.1", SEC), "pod shop/young");
	assert_ok(addr_parse("10.0.0.1", &addr));
	card = book_find_pod(rig.book, "shop", "old", &addr, SEC);
	assert_str(card->name, "old");
	flow_card_put(card);
	assert_null(book_find_pod(rig.book, "shop", "none", &addr, SEC));
	rig_down(&rig);
}

static const struct {
	const char *kind, *name, *labels, *want;
} owners[] = {
	{ "ReplicaSet", "web-5d9c7f", "'app':'web','pod-template-hash':'5d9c7f'", "Deployment/web" },
	{ "ReplicaSet", "web-5d9c7f", "'app':'web'", "ReplicaSet/web-5d9c7f" },
	{ "ReplicaSet", "web", "'app':'web','pod-template-hash':'web'", "ReplicaSet/web" },
	{ "Job", "backup-29384712", "'app':'web'", "CronJob/backup" },
	{ "Job", "backup-7", "'app':'web'", "Job/backup-7" },
	{ "Job", "backup-29384712x", "'app':'web'", "Job/backup-29384712x" },
	{ "StatefulSet", "db",
	  "'app':'web','controller-revision-hash':'x','statefulset.kubernetes.io/pod-name':'db-0','apps.kubernetes.io/pod-index':'0'",
	  "StatefulSet/db" },
};

static void workloads_as_users_know_them(void **state)
{
	for (size_t i = 0; i < sizeof(owners) / sizeof(*owners); i++) {
		struct flow_card *card;
		char text[768], got[256];
		struct rig rig;

		rig_up(&rig, NULL);
		snprintf(text, sizeof(text),
			 "{'metadata':{'namespace':'shop','name':'p','labels':{%s},'ownerReferences':[{'kind':'%s','name':'%s',"
			 "'controller':true}]},'status':{'podIP':'10.0.0.1'}}",
			 owners[i].labels, owners[i].kind, owners[i].name);
		put(&rig, KIND_POD, text);
		card = find(&rig, "10.0.0.1", SEC);
		snprintf(got, sizeof(got), "%s/%s", card->workload_kind, card->workload_name);
		assert_str(got, owners[i].want);
		assert_int_equal(card->nlabels, 1);
		flow_card_put(card);
		rig_down(&rig);
	}
}

// A pod whose labels are as many and as long as an object may have.
static void put_hostile(struct rig *rig, uint32_t number, size_t value_bytes)
{
	_cleanup_free_ char *text = malloc(1024 * (value_bytes + 64));
	char value[400], addr[32];
	size_t len;

	memset(value, 'v', value_bytes);
	value[value_bytes] = 0;
	snprintf(addr, sizeof(addr), "10.2.%u.%u", number / 256, number % 256);
	len = (size_t)sprintf(text, "{'metadata':{'namespace':'shop','name':'p%u','labels':{'a':'first'", number);
	for (int i = 0; i < 1000; i++)
		len += (size_t)sprintf(text + len, ",'k%04d':'%s'", i, value);
	sprintf(text + len, ",'z':'last'}},'spec':{'nodeName':'n1'},'status':{'podIP':'%s'}}", addr);
	put(rig, KIND_POD, text);
}

static void labels_of_a_card_are_bounded(void **state)
{
	struct book_limits limits = { .labels = 220 };
	struct book_stats stats;
	struct flow_card *card;
	struct rig rig;
	size_t bytes = 0;

	rig_up(&rig, &limits);
	put_hostile(&rig, 1, 63);
	card = find(&rig, "10.2.0.1", rig.now_ns);
	for (uint32_t i = 0; i < card->nlabels; i++)
		bytes += strlen(card->labels[i].key) + strlen(card->labels[i].value) + 16;
	assert_in_range(bytes, 137, 220);
	assert_int_equal(card->nlabels + card->labels_cut, 1002);
	assert_string_equal(card->labels[0].value, "first");
	assert_string_equal(card->labels[card->nlabels - 1].value, "last"); // a long one makes no other go
	flow_card_put(card);
	put_pod(&rig, "web", "10.1.0.1", "'app':'web'");
	card = find(&rig, "10.1.0.1", rig.now_ns);
	assert_int_equal(card->nlabels, 1);
	assert_int_equal(card->labels_cut, 0);
	flow_card_put(card);
	book_stats(rig.book, &stats);
	assert_int_equal(stats.cut, 1);
	rig_down(&rig);
}

// 8,192 of 50,000 pods are spoken of at once: their cards take what labels of --flow-labels take, not what pods have.
static void cards_of_hostile_pods_take_little(void **state)
{
	struct rig rig;
	size_t before, after;

	rig_up(&rig, NULL);
	for (uint32_t i = 0; i < 2000; i++)
		put_hostile(&rig, i, 63);
	before = mallinfo2().uordblks;
	for (uint32_t i = 0; i < 2000; i++) {
		char addr[32];

		snprintf(addr, sizeof(addr), "10.2.%u.%u", i / 256, i % 256);
		flow_card_put(find(&rig, addr, rig.now_ns));
	}
	after = mallinfo2().uordblks;
	assert_true(after - before <= 2000 * (BOOK_LABELS + 400));
	printf("cards of 2,000 pods with 1,000 labels each: %zu bytes a card\n", (after - before) / 2000);
	rig_down(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everybody_with_an_address),
		cmocka_unit_test(names_are_those_of_the_time),
		cmocka_unit_test(a_finished_pod_has_no_address),
		cmocka_unit_test(the_past_is_bounded),
		cmocka_unit_test(too_many_that_left_at_once),
		cmocka_unit_test(cards_of_the_present_are_bounded),
		cmocka_unit_test(labels_of_a_card_are_bounded),
		cmocka_unit_test(cards_of_hostile_pods_take_little),
		cmocka_unit_test(of_two_claims_the_one_that_policy_takes),
		cmocka_unit_test(workloads_as_users_know_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
