// SPDX-License-Identifier: Apache-2.0
// reduce.c - take objects away one by one while the mismatch stays.
#include "tests/diff/reduce.h"

#include <errno.h>
#include <string.h>

#include "tests/diff/expect.h"
#include "tests/diff/frame.h"

// 1: new tables with these objects answer wrongly; 0: rightly; -errno.
static int is_wrong(const struct world *world, const struct question *question)
{
	_cleanup_(scene_freep) struct scene *scene = NULL;
	struct err err = { 0 };
	bool passed;
	int r = scene_new("/run/bpf/reduce", 1u << question->slot, &scene, &err);

	if (r == 0)
		r = scene_apply(scene, world, /* all= */ true, &err);
	if (r == 0)
		r = scene_ask(scene, question, &passed, &err);
	if (r < 0) {
		fprintf(stderr, "diff: reducing: %s\n", err.text);
		return r;
	}
	return passed != expect_pass(scene, question);
}

static void reduce(struct world *world, const struct question *question)
{
	for (size_t i = WORLD_ITEMS; i-- > 0;) {
		struct world_item *item = &world->items[i];
		struct json_object *json = item->json;

		if (!json || (item->kind == KIND_POD && item->index == question->slot))
			continue;
		item->json = NULL;
		if (is_wrong(world, question) == 1)
			json_object_put(json);
		else
			item->json = json;
	}
}

static const char *verdict_name(bool pass)
{
	return pass ? "allow" : "deny";
}

void reduce_print(FILE *out, struct scene *scene, const struct world *world,
		  const struct question *question, bool passed)
{
	struct world copy = *world;
	char text[256], rule_text[256];
	enum bh_reason reason;
	uint32_t rule;
	int wrong;

	for (size_t i = 0; i < WORLD_ITEMS; i++)
		json_object_get(copy.items[i].json);
	reason = scene_eval(scene, question, &rule);
	wrong = is_wrong(world, question);
	fprintf(out, "mismatch: %s want %s got %s\n", question_text(question, text, sizeof(text)),
		verdict_name(expect_pass(scene, question)), verdict_name(passed));
	fprintf(out, "  the compiled matrix in process: %s, %s\n",
		verdict_name(reason < BH_REASON_DROP),
		policy_rule_text(scene_policy(scene), rule, rule_text, sizeof(rule_text)));
	fprintf(out, "  new tables with the same objects: %s\n",
		wrong == 1 ? "as wrong" : "right: it takes what went before");
	if (wrong == 1)
		reduce(&copy, question);
	for (size_t i = 0; i < WORLD_ITEMS; i++)
		if (copy.items[i].json)
			fprintf(out, "  %s\n",
				json_object_to_json_string_ext(copy.items[i].json,
							       JSON_C_TO_STRING_PLAIN));
	world_fini(&copy);
}
