// SPDX-License-Identifier: Apache-2.0
// lint_test.c - each code on a policy that deserves it, and not on one that is near but right.
#include "tests/harness/test.h"

#include "agent/review/lint.h"

static char folder[PATH_MAX];

// Pods of two namespaces, one of them on the host's network, and a workload's template.
#define POD(ns, name, labels, spec, status)                                                        \
	"---\nkind: Pod\napiVersion: v1\nmetadata: {namespace: " ns ", name: " name ", labels: {" labels \
	"}}\nspec: {" spec "}\nstatus: {" status "}\n"
#define CLUSTER                                                                                    \
	"kind: Namespace\napiVersion: v1\nmetadata: {name: shop, labels: {team: trade}}\n"         \
	"---\nkind: Namespace\napiVersion: v1\nmetadata: {name: other}\n"                          \
	POD("shop", "web", "app: web, tier: front",                                                \
	    "containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]",                 \
	    "podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]")                                           \
	POD("shop", "db", "app: database", "containers: [{name: c}]", "podIPs: [{ip: 10.0.0.2}]")  \
	POD("shop", "proxy", "app: proxy", "hostNetwork: true", "podIPs: [{ip: 172.18.0.2}]")      \
	POD("other", "client", "app: client", "", "podIPs: [{ip: 10.0.0.3}]")                      \
	"---\nkind: CronJob\napiVersion: batch/v1\nmetadata: {namespace: shop, name: nightly}\n"   \
	"spec: {jobTemplate: {spec: {template: {metadata: {labels: {app: nightly}}, spec: {}}}}}\n"

#define IN(ns, name, spec)                                                                         \
	"---\nkind: NetworkPolicy\napiVersion: networking.k8s.io/v1\nmetadata: {namespace: " ns ", name: " name \
	"}\nspec: {" spec "}\n"
#define NP(name, spec) IN("shop", name, spec)
#define CNP(name, rank, spec)                                                                      \
	"---\nkind: ClusterNetworkPolicy\napiVersion: policy.networking.k8s.io/v1alpha2\nmetadata: {name: " \
	name "}\nspec: {" rank ", subject: {namespaces: {}}, " spec "}\n"
#define WEB "podSelector: {matchLabels: {app: web}}, "
#define ALL "podSelector: {}, "
#define DNS "{ports: [{port: 53, protocol: UDP}, {port: 53}]}"
#define ADMIN(n) "tier: Admin, priority: " #n
#define FROM_ALL "from: [{namespaces: {}}]"

// bad has a finding of this code with this object and field; good has none of this code.
static const struct row {
	const char *code, *object, *field, *bad, *good;
} rows[] = {
	{ "BH101", "shop/p", "", NP("p", WEB "ingress: [{ports: [{port: 0}]}]"),
	  NP("p", WEB "ingress: [{ports: [{port: 1}]}]") },
	{ "BH101", "shop/p", "", NP("p", WEB "egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/9]}}]}]"),
	  NP("p", WEB "egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/9]}}]}]") },
	{ "BH101", "shop/p", "", NP("p", "podSelector: {matchLabels: {app: 7}}"), NP("p", WEB) },
	{ "BH102", "shop/p", "spec.podSelector", NP("p", "podSelector: {matchLabels: {app: zebra}}"),
	  NP("p", WEB) NP("q", "podSelector: {matchLabels: {app: nightly}}") },
	{ "BH102", "c", "spec.subject",
	  "---\nkind: ClusterNetworkPolicy\napiVersion: policy.networking.k8s.io/v1alpha2\nmetadata: {name: c}\n"
	  "spec: {tier: Admin, priority: 1, subject: {namespaces: {matchLabels: {team: none}}}}\n",
	  CNP("c", ADMIN(1), "ingress: []") },
	{ "BH103", "empty/p", "", IN("empty", "p", ALL), NP("p", ALL) },
	{ "BH104", "shop/p", "spec.podSelector", NP("p", "podSelector: {matchLabels: {app: databse}}"),
	  NP("p", "podSelector: {matchLabels: {app: zebra}}") },
	{ "BH104", "shop/p", "spec.podSelector", NP("p", "podSelector: {matchLabels: {teir: front}}"),
	  NP("p", "podSelector: {matchLabels: {tier: front}}") },
	{ "BH104", "shop/p", "spec.ingress[0].from[1]",
	  NP("p", WEB "ingress: [{from: [{podSelector: {}}, {namespaceSelector: {matchLabels: {team: trde}}}]}]"),
	  NP("p", WEB "ingress: [{from: [{namespaceSelector: {matchLabels: {team: trade}}}]}]") },
	{ "BH105", "shop/p", "", NP("p", "podSelector: {matchLabels: {app: proxy}}"), NP("p", WEB) },
	{ "BH105", "shop/p", "", NP("p", ALL), CNP("c", ADMIN(1), "ingress: []") },
	{ "BH106", "shop/p", "spec.egress", NP("p", WEB "policyTypes: [Ingress], egress: [{}]"),
	  NP("p", WEB "policyTypes: [Ingress, Egress], egress: [{}]") },
	{ "BH107", "shop/p", "spec.policyTypes", NP("p", WEB "egress: [" DNS "]"),
	  NP("p", WEB "policyTypes: [Egress], egress: [" DNS "]") NP("q", WEB "ingress: [], egress: [" DNS "]") },
	{ "BH108", "shop/p", "", NP("p", WEB) NP("p", ALL), NP("p", WEB) NP("q", ALL) },
	{ "BH201", "shop/p", "spec.ingress[1]", NP("p", WEB "ingress: [{ports: [{port: 1}]}, {}]"),
	  NP("p", WEB "ingress: [{ports: [{port: 1}]}, {from: [{podSelector: {}}]}]") },
	{ "BH201", "shop/p", "spec.egress[0]", NP("p", WEB "egress: [{to: [], ports: []}]"),
	  NP("p", WEB "policyTypes: [Ingress], egress: [{}]") },
	{ "BH202", "shop/p", "spec.ingress[0].from[0]", NP("p", WEB "ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]"),
	  NP("p", WEB "ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 443}]}]") },
	{ "BH202", "shop/p", "spec.egress[0].to[1]",
	  NP("p", WEB "egress: [{to: [{podSelector: {}}, {ipBlock: {cidr: '::/0'}}]}]"),
	  NP("p", WEB "egress: [{to: [{ipBlock: {cidr: '2000::/3'}}]}]") },
	{ "BH202", "c", "spec.egress[0]", CNP("c", ADMIN(1), "egress: [{action: Accept, to: [{networks: [0.0.0.0/0]}]}]"),
	  CNP("c", ADMIN(1), "egress: [{action: Deny, to: [{networks: [0.0.0.0/0]}]}]") },
	{ "BH203", "shop/p", "spec.ingress[0].from[0]", NP("p", WEB "ingress: [{from: [{namespaceSelector: {}}]}]"),
	  NP("p", WEB "ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: client}}}]}]") },
	{ "BH203", "c", "spec.ingress[0]", CNP("c", ADMIN(1), "ingress: [{action: Accept, " FROM_ALL "}]"),
	  CNP("c", ADMIN(1), "ingress: [{action: Pass, " FROM_ALL "}]") },
	{ "BH204", "shop/p", "spec.egress", NP("p", WEB "egress: [{ports: [{port: 443}]}]"),
	  NP("p", WEB "egress: [{ports: [{port: 443}]}]") NP("q", ALL "policyTypes: [Egress], egress: [" DNS "]") },
	{ "BH204", "shop/p", "spec.egress", NP("p", WEB "egress: [{ports: [{port: 53, protocol: UDP}]}]"),
	  NP("p", WEB "egress: [{ports: [{port: 50, endPort: 60, protocol: UDP}, {port: 53}]}]") },
	{ "BH204", "shop/p", "spec.egress",
	  NP("p", WEB "egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: other}}}]}]"),
	  NP("p", WEB "egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]}]") },
	{ "BH204", "shop/p", "spec.egress", NP("p", WEB "policyTypes: [Egress]"),
	  NP("p", WEB "policyTypes: [Egress]")
	  CNP("c", ADMIN(1), "egress: [{action: Accept, to: [{networks: [10.0.0.10/32]}], protocols: "
	  "[{udp: {destinationPort: {number: 53}}}, {tcp: {destinationPort: {number: 53}}}]}]") },
	{ "BH204", "empty/p", "spec.egress", IN("empty", "p", WEB "egress: [{ports: [{port: 443}]}]"),
	  IN("empty", "p", WEB "egress: [{ports: [{port: 443}]}]") IN("empty", "q", ALL "egress: [" DNS "]") },
	{ "BH301", "shop/p", "", NP("p", WEB "ingress: [{from: [{podSelector: {}}], ports: [{port: 80}]}]")
	  NP("q", ALL "ingress: [{from: [{podSelector: {}}], ports: [{port: 1, endPort: 99}]}]"),
	  NP("p", WEB "ingress: [{from: [{podSelector: {}}], ports: [{port: 80}]}]")
	  NP("q", ALL "ingress: [{from: [{podSelector: {}}], ports: [{port: 81}]}]") },
	{ "BH301", "shop/p", "",
	  NP("p", WEB "ingress: [{from: [{ipBlock: {cidr: 10.1.0.0/16}}]}, {from: [{podSelector: {matchLabels: {a: b, c: d}}}]}]")
	  NP("q", WEB "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.2.0.0/16]}}]}]")
	  NP("r", WEB "ingress: [{from: [{podSelector: {matchLabels: {a: b}}}]}]"),
	  NP("p", WEB "ingress: [{from: [{ipBlock: {cidr: 10.1.0.0/16}}]}]")
	  NP("q", WEB "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.7.0/24]}}]}]") },
	{ "BH301", "shop/p", "", NP("p", WEB "ingress: []") NP("q", ALL "ingress: []"),
	  NP("p", ALL "ingress: []") NP("q", WEB "ingress: [{ports: [{port: 8080}]}]") },
	{ "BH301", "shop/p", "", NP("p", WEB "ingress: [{ports: [{port: 8080}]}]") NP("q", WEB "ingress: [{}]"),
	  NP("p", WEB "ingress: [{ports: [{port: 8080}]}], egress: [" DNS "]") NP("q", WEB "ingress: [{}]") },
	{ "BH302", "shop/q", "", NP("p", WEB "ingress: [{ports: [{port: 8080}]}]") NP("q", WEB "ingress: [{ports: [{port: 8080}]}]"),
	  NP("p", WEB "ingress: [{ports: [{port: 8080}]}]") IN("other", "q", WEB "ingress: [{ports: [{port: 8080}]}]") },
	{ "BH303", "shop/p", "spec.ingress[1]", NP("p", WEB "ingress: [{ports: [{port: 80}]}, {ports: [{port: 80}], from: [{podSelector: {}}]}]"),
	  NP("p", WEB "ingress: [{ports: [{port: 80}]}, {ports: [{port: 81}], from: [{podSelector: {}}]}]") },
	{ "BH304", "b", "spec.ingress[0]",
	  CNP("a", ADMIN(1), "ingress: [{action: Pass, " FROM_ALL "}]") CNP("b", ADMIN(2), "ingress: [{action: Deny, " FROM_ALL "}]"),
	  CNP("a", ADMIN(2), "ingress: [{action: Pass, from: [{networks: [10.0.0.0/8]}]}]") CNP("b", ADMIN(1), "ingress: [{action: Deny, " FROM_ALL "}]") },
	{ "BH304", "b", "spec.egress[1]",
	  CNP("b", ADMIN(2), "egress: [{action: Deny, to: [{networks: [10.0.0.0/8]}]}, {action: Accept, to: [{networks: [10.1.0.0/16]}]}]"),
	  CNP("b", ADMIN(2), "egress: [{action: Deny, to: [{networks: [10.1.0.0/16]}]}, {action: Accept, to: [{networks: [10.0.0.0/8]}]}]") },
	{ "BH305", "b", "spec.priority", CNP("a", ADMIN(7), "ingress: []") CNP("b", ADMIN(7), "ingress: []"),
	  CNP("a", ADMIN(7), "ingress: []") CNP("b", "tier: Baseline, priority: 7", "ingress: []") },
	{ "BH401", "shop/p", "spec.ingress[0].ports[0]", NP("p", WEB "ingress: [{ports: [{port: https}]}]"),
	  NP("p", WEB "ingress: [{ports: [{port: http}]}]") },
	{ "BH401", "shop/p", "spec.ingress[0].ports[0]", NP("p", WEB "ingress: [{ports: [{port: http, protocol: UDP}]}]"),
	  NP("p", ALL "ingress: [{ports: [{port: http, protocol: TCP}]}]") },
	{ "BH401", "other/p", "spec.egress[0].ports[0]",
	  IN("other", "p", ALL "egress: [{to: [{podSelector: {}}], ports: [{port: http}]}]"),
	  IN("other", "p", ALL "egress: [{to: [{namespaceSelector: {matchLabels: {team: trade}}}], ports: [{port: http}]}]") },
	{ "BH402", "shop/p", "spec.ingress[0].ports[0]", NP("p", WEB "ingress: [{ports: [{port: 80}]}]"),
	  NP("p", WEB "ingress: [{ports: [{port: 8080}]}]") NP("q", ALL "ingress: [{ports: [{port: 80}]}]") },
	{ "BH501", "shop/p", "spec.ingress[0].from[0]", NP("p", WEB "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]"),
	  NP("p", WEB "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/24]}}, {ipBlock: {cidr: 172.16.0.0/12}}]}]") },
	{ "BH501", "shop/p", "spec.egress[0].to[0]", NP("p", WEB "egress: [{to: [{ipBlock: {cidr: '::/0'}}]}]"),
	  NP("p", WEB "egress: [{to: [{ipBlock: {cidr: '::/0', except: ['fd00::/8']}}]}]") },
	{ "BH502", "shop/p", "spec.egress", NP("p", WEB "egress: [{to: [{ipBlock: {cidr: 192.0.2.0/24}}]}]"),
	  NP("p", WEB "egress: [{to: [{ipBlock: {cidr: 192.0.2.0/24}}, {ipBlock: {cidr: '2001:db8::/32'}}]}]") },
	{ "BH503", "shop/p", "spec.egress[0].to[0]", NP("p", WEB "egress: [{to: [{ipBlock: {cidr: 192.0.2.7/24}}]}]"),
	  NP("p", WEB "egress: [{to: [{ipBlock: {cidr: 192.0.2.7/32}}]}]") },
	{ "BH601", "shop/p", "spec.ingress[0].from[0]",
	  NP("p", WEB "ingress: [{from: [{namespaceSelector: {matchLabels: {team: none}}}]}]"),
	  NP("p", WEB "ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]}]") },
	{ "BH602", "shop/p", "spec.ingress[0].from[0]",
	  NP("p", WEB "ingress: [{from: [{podSelector: {matchLabels: {app: zebra}}}]}]"),
	  NP("p", WEB "ingress: [{from: [{podSelector: {matchLabels: {app: nightly}}}, {namespaceSelector: {matchLabels: "
	  "{kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}]}]") },
};

static struct review *read_text(const char *text)
{
	struct review *review = review_new();
	struct err err = { 0 };

	test_write(folder, "a.yaml", text);
	assert_ok_err(review_load(review, folder, &err), &err);
	return review;
}

static bool is_about(const struct finding *finding, const struct row *row)
{
	char object[600];

	snprintf(object, sizeof(object), "%s%s%s", finding->ns ? finding->ns : "", finding->ns ? "/" : "",
		 finding->name ? finding->name : "");
	return !strcmp(lint_rules[finding->code].id, row->code) &&
	       (!row->object || (!strcmp(object, row->object) && !strcmp(finding->field, row->field)));
}

static size_t count(const char *text, const struct row *row)
{
	_cleanup_free_ char *whole = NULL;
	struct findings findings;
	size_t n = 0;

	assert_true(asprintf(&whole, "%s%s", CLUSTER, text) > 0);
	_cleanup_(review_freep) struct review *review = read_text(whole);
	lint_run(review, NULL, &findings);
	vec_each(struct finding, finding, &findings)
		n += is_about(finding, row);
	findings_fini(&findings);
	return n;
}

static void each_code_is_told_where_it_is_due_and_nowhere_else(void **state)
{
	bool seen[LINT_MAX] = { false };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row any = { .code = rows[i].code };

		if (count(rows[i].bad, &rows[i]) != 1)
			fail_msg("row %zu: no %s about %s %s:\n%s", i, rows[i].code, rows[i].object,
				 rows[i].field, rows[i].bad);
		if (count(rows[i].good, &any))
			fail_msg("row %zu: %s about nothing:\n%s", i, rows[i].code, rows[i].good);
		seen[lint_code_find(rows[i].code)] = true;
	}
	for (int i = 0; i < LINT_MAX; i++)
		if (!seen[i])
			fail_msg("no row for %s", lint_rules[i].id);
}

static void a_tidy_cluster_has_no_finding(void **state)
{
	_cleanup_(review_freep) struct review *review =
		read_text(CLUSTER NP("deny", "podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [proxy]}]}, "
				     "policyTypes: [Ingress, Egress], egress: [" DNS "]")
			  NP("web", WEB "ingress: [{from: [{namespaceSelector: {matchLabels: "
			     "{kubernetes.io/metadata.name: other}}}], ports: [{port: http}]}]"));
	struct findings findings;

	lint_run(review, NULL, &findings);
	vec_each(struct finding, finding, &findings)
		fail_msg("%s %s: %s", lint_rules[finding->code].id, finding->field, finding->text);
	findings_fini(&findings);
}

static void what_is_removed_as_told_changes_nothing_else(void **state)
{
	// Three that say the same: two go, one stays.
	_cleanup_(review_freep) struct review *review =
		read_text(CLUSTER NP("a", WEB "ingress: [{ports: [{port: 8080}]}]") NP("b", WEB "ingress: [{ports: [{port: 8080}]}]")
			  NP("c", WEB "ingress: [{ports: [{port: 8080}]}]"));
	struct findings findings;
	size_t n = 0;

	lint_run(review, NULL, &findings);
	vec_each(struct finding, finding, &findings) {
		n += finding->code == LINT_EQUAL || finding->code == LINT_SHADOWED;
		assert_string_not_equal(finding->name, "a");
	}
	assert_int_equal(n, 2);
	findings_fini(&findings);
}

#define MANY 2000

// In pairs that say the same, all for the same pods.
static void thousands_of_policies_in_one_namespace(void **state)
{
	_cleanup_(review_freep) struct review *review = NULL;
	_cleanup_free_ char *text = NULL;
	struct findings findings;
	size_t equal = 0, len;
	FILE *out = open_memstream(&text, &len);

	fputs(CLUSTER, out);
	for (unsigned i = 0; i < MANY; i++)
		fprintf(out, NP("p%05u", WEB "ingress: [{ports: [{port: 8080}], from: [{ipBlock: {cidr: 172.%u.%u.0/24}}]}]"),
			i, i / 2 / 256, i / 2 % 256);
	fclose(out);
	review = read_text(text);
	lint_run(review, NULL, &findings);
	vec_each(struct finding, finding, &findings)
		equal += finding->code == LINT_EQUAL;
	assert_int_equal(equal, MANY / 2);
	findings_fini(&findings);
}

static void places_and_broken_files(void **state)
{
	_cleanup_(review_freep) struct review *review = NULL;
	struct findings findings;

	test_write(folder, "b.yaml", "kind: A\n---\n{ [\n");
	review = read_text(CLUSTER NP("p", "podSelector: {matchLabels: {app: zebra}}"));
	lint_run(review, NULL, &findings);
	assert_int_equal(findings.n, 2);
	assert_str_contains(findings.v[0].path, "/a.yaml");
	assert_int_equal(findings.v[0].line, 38);
	assert_str_contains(findings.v[1].path, "/b.yaml");
	assert_int_equal(findings.v[1].severity, SEVERITY_ERROR);
	assert_null(findings.v[1].kind);
	findings_fini(&findings);
}

static void annotations_and_settings_silence(void **state)
{
	static const char *const lists[] = { "BH102", "x, selects-nothing", "all" };
	bool disabled[LINT_MAX] = { false };
	struct findings findings;

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		_cleanup_(review_freep) struct review *review = NULL;
		char text[4096];

		snprintf(text, sizeof(text),
			 CLUSTER "---\nkind: NetworkPolicy\napiVersion: networking.k8s.io/v1\nmetadata: {namespace: shop, "
				 "name: p, annotations: {bulkhead.io/lint-ignore: '%s'}}\n"
				 "spec: {podSelector: {matchLabels: {app: zebra}}}\n",
			 lists[i]);
		review = read_text(text);
		lint_run(review, NULL, &findings);
		assert_int_equal(findings.n, 0);
		assert_int_equal(findings.ignored, 1);
		findings_fini(&findings);
	}
	disabled[LINT_SELECTS_NOTHING] = true;
	_cleanup_(review_freep) struct review *review =
		read_text(CLUSTER NP("p", "podSelector: {matchLabels: {app: zebra}}"));
	lint_run(review, disabled, &findings);
	assert_int_equal(findings.n, 0);
	findings_fini(&findings);
}

static int setup(void **state)
{
	test_mkdir(folder);
	return 0;
}

static int teardown(void **state)
{
	test_rmdir(folder);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_code_is_told_where_it_is_due_and_nowhere_else),
		TEST(a_tidy_cluster_has_no_finding),
		TEST(what_is_removed_as_told_changes_nothing_else),
		TEST(thousands_of_policies_in_one_namespace),
		TEST(places_and_broken_files),
		TEST(annotations_and_settings_silence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
