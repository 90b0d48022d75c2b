// SPDX-License-Identifier: Apache-2.0
// Records in the shape of Hubble's exporter, read back from a file as its readers do.
#include "tests/unit/sink/rig.h"

#define RANDOM_RECORDS 500

// What one record becomes.
static struct json_object *line_of(struct rig *rig)
{
	_cleanup_free_ char *text = NULL;
	struct json_object *json;
	char path[PATH_MAX + 16];
	size_t len;

	sink_put(rig->sink, &rig->record);
	sink_flush(rig->sink);
	snprintf(path, sizeof(path), "%s/flows", rig->dir);
	text = test_read(path, &len);
	assert_true(len && text[len - 1] == '\n' && strchr(text, '\n') == text + len - 1);
	json = json_tokener_parse(text);
	assert_non_null(json);
	assert_int_equal(truncate(path, 0), 0);
	return json;
}

static struct json_object *flow_of(struct json_object *line)
{
	struct json_object *flow = NULL;

	assert_true(json_object_object_get_ex(line, "flow", &flow));
	return flow;
}

static void assert_field(struct json_object *json, const char *key, const char *want)
{
	_cleanup_json_ struct json_object *expected = test_json(want);
	struct json_object *field = NULL;

	if (!json_object_object_get_ex(json, key, &field) || !json_object_equal(field, expected))
		fail_msg("%s: %s, expected %s", key, json_object_to_json_string(field), want);
}

static void an_allowed_flow(void **state)
{
	struct rig *rig = *state;
	_cleanup_json_ struct json_object *line = NULL;

	rig_open(rig, "hubble+file", "flows");
	line = line_of(rig);
	assert_field(line, "node_name", "'node-a'");
	assert_field(line, "time", "'2026-11-21T01:00:03.000000042Z'");
	assert_int_equal(json_object_object_length(line), 3);
	assert_field(line, "flow",
		     "{'time':'2026-11-21T01:00:03.000000042Z','verdict':'FORWARDED',"
		     "'IP':{'source':'10.0.1.5','destination':'10.0.2.7','ipVersion':'IPv4'},"
		     "'l4':{'TCP':{'source_port':43210,'destination_port':15432,'flags':{'SYN':true,'ACK':true,'FIN':true}}},"
		     "'source':{'namespace':'shop','labels':['k8s:app=web','k8s:tier=front','k8s:io.kubernetes.pod.namespace=shop'],"
		     "'pod_name':'web-7d4b9','workloads':[{'name':'web','kind':'Deployment'}]},"
		     "'destination':{'namespace':'shop','labels':['k8s:app=db','k8s:io.kubernetes.pod.namespace=shop'],"
		     "'pod_name':'db-0','workloads':[{'name':'db','kind':'StatefulSet'}]},"
		     "'Type':'L3_L4','node_name':'node-a','destination_service':{'name':'db','namespace':'shop'},"
		     "'traffic_direction':'EGRESS','event_type':{'type':4},'trace_observation_point':'FROM_ENDPOINT',"
		     "'trace_reason':'ESTABLISHED','is_reply':false,'Summary':'TCP Flags: SYN, ACK, FIN',"
		     "'egress_allowed_by':[{'name':'databases','kind':'ClusterNetworkPolicy'}],"
		     "'extensions':{'@type':'type.googleapis.com/google.protobuf.Struct','value':{'seq':42,'type':'end','reason':'allowed',"
		     "'packets':{'forward':7,'reverse':6},'bytes':{'forward':900,'reverse':1500},'first':'2026-11-21T01:00:00.000000000Z',"
		     "'last':'2026-11-21T01:00:02.500000000Z','over':'closed'}}}");
}

static void denied_flows(void **state)
{
	static const struct {
		enum flow_policy_kind kind;
		enum bh_reason reason;
		const char *number, *name, *event;
	} cases[] = {
		{ FLOW_POLICY_DEFAULT_DENY, BH_REASON_POLICY_DENIED, "133", "'POLICY_DENIED'", "{'type':1,'sub_type':133}" },
		{ FLOW_POLICY_CLUSTERNETPOL, BH_REASON_POLICY_DENIED, "181", "'POLICY_DENY'", "{'type':1,'sub_type':181}" },
		{ FLOW_POLICY_DEFAULT_DENY, BH_REASON_CT_FULL, "155", "'CT_MAP_INSERTION_FAILED'", "{'type':1,'sub_type':155}" },
		{ FLOW_POLICY_DEFAULT_DENY, BH_REASON_INTERNAL, "0", "'DROP_REASON_UNKNOWN'", "{'type':1,'sub_type':0}" },
	};
	struct flow_policy deny = { .refs = 1, .dir = BH_INGRESS, .npolicies = 2, .policies = (const char *[]){ "shop/deny", "shop/web" } };
	struct flow_card world = { .refs = 1, .who = FLOW_WORLD };
	struct rig *rig = *state;
	struct flow_record full = rig->record;

	rig_open(rig, "hubble+file", "flows");
	rig->record = (struct flow_record){ .type = FLOW_DENY, .verdict = FLOW_DENIED, .dir = BH_INGRESS, .proto = 17, .src = full.src,
					    .dst = full.dst, .policy = &deny };
	rig->record.src.card = &world;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_json_ struct json_object *line = NULL;
		struct json_object *flow;

		deny.kind = cases[i].kind;
		rig->record.reason = cases[i].reason;
		line = line_of(rig);
		flow = flow_of(line);
		assert_field(flow, "verdict", "'DROPPED'");
		assert_field(flow, "drop_reason", cases[i].number);
		assert_field(flow, "drop_reason_desc", cases[i].name);
		assert_field(flow, "event_type", cases[i].event);
		assert_field(flow, "source", "{'identity':2,'labels':['reserved:world']}");
		assert_field(flow, "destination", "{'namespace':'shop'}");
		assert_field(flow, "l4", "{'UDP':{'source_port':43210,'destination_port':5432}}");
		assert_field(flow, "Summary", "'UDP'");
		assert_field(flow, "traffic_direction", "'INGRESS'");
		assert_field(flow, "ingress_denied_by", "[{'name':'deny','namespace':'shop','kind':'NetworkPolicy'},"
							"{'name':'web','namespace':'shop','kind':'NetworkPolicy'}]");
	}
	rig->record = full;
}

static void a_flow_that_audit_would_deny(void **state)
{
	struct flow_policy deny = { .refs = 1, .kind = FLOW_POLICY_DEFAULT_DENY, .dir = BH_EGRESS, .npolicies = 1,
				    .policies = (const char *[]){ "shop/strict" } };
	struct flow_card node = { .refs = 1, .who = FLOW_NODE, .name = "node-a" };
	_cleanup_json_ struct json_object *line = NULL, *other = NULL;
	struct rig *rig = *state;
	struct flow_record full = rig->record;

	rig_open(rig, "hubble+file", "flows");
	rig->record.verdict = FLOW_AUDIT;
	rig->record.audit = &deny;
	rig->record.backend.card = NULL;
	rig->record.dst.card = &node;
	line = line_of(rig);
	assert_field(flow_of(line), "verdict", "'AUDIT'");
	assert_field(flow_of(line), "event_type", "{'type':5}");
	assert_field(flow_of(line), "egress_denied_by", "[{'name':'strict','namespace':'shop','kind':'NetworkPolicy'}]");
	assert_field(flow_of(line), "egress_allowed_by", "[{'name':'databases','kind':'ClusterNetworkPolicy'}]");
	assert_field(flow_of(line), "destination", "{'identity':1,'labels':['reserved:host']}");
	node.name = "node-b";
	other = line_of(rig);
	assert_field(flow_of(other), "destination", "{'identity':6,'labels':['reserved:remote-node']}");
	rig->record = full;
}

static void any_record_is_a_line(void **state)
{
	struct rig *rig = *state;
	unsigned int seed = 7;

	rig_open(rig, "hubble+file", "flows");
	for (int i = 0; i < RANDOM_RECORDS; i++) {
		_cleanup_json_ struct json_object *line = NULL;

		flow_record_fini(&rig->record);
		record_random(&seed, &rig->record);
		line = line_of(rig);
		assert_field(flow_of(line), "Type", "'L3_L4'");
	}
	assert_int_equal(rig_stats(rig)->delivered, RANDOM_RECORDS);
}

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_RIG(an_allowed_flow),
		WITH_RIG(denied_flows),
		WITH_RIG(a_flow_that_audit_would_deny),
		WITH_RIG(any_record_is_a_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
