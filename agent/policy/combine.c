// SPDX-License-Identifier: Apache-2.0
// combine.c - one cell for all backends of a Service.
#include "agent/policy/combine.h"

static void add(struct combine_view *view, uint32_t word, bool own_node)
{
	enum bh_verdict verdict;

	if (own_node && BH_CELL_VERDICT(word) == BH_VERDICT_DENY)
		word = BH_CELL_WORD(BH_VERDICT_ALLOW, BH_RULE_NONE);
	verdict = BH_CELL_VERDICT(word);
	if (!view->has[verdict] || word < view->word[verdict])
		view->word[verdict] = word;
	view->has[verdict] = true;
}

static uint32_t end(const struct combine_view *view, uint32_t none)
{
	bool denied = view->has[BH_VERDICT_DENY];
	uint32_t word = view->word[denied ? BH_VERDICT_DENY : BH_VERDICT_DENY_CLUSTER];

	if (!denied && !view->has[BH_VERDICT_DENY_CLUSTER])
		return view->has[BH_VERDICT_ALLOW] ? view->word[BH_VERDICT_ALLOW] : none;
	if (!view->has[BH_VERDICT_ALLOW])
		return word;
	return BH_CELL_WORD(BH_VERDICT_MIXED, BH_CELL_RULE(word));
}

void combine_add(struct combine *sum, struct bh_cell cell, bool own_node)
{
	add(&sum->enforced, cell.verdict, own_node);
	add(&sum->shadow, cell.shadow, own_node);
}

void combine_refuse(struct combine *sum)
{
	uint32_t word = BH_CELL_WORD(BH_VERDICT_DENY, BH_RULE_NONE);

	combine_add(sum, (struct bh_cell){ word, word }, false);
}

struct bh_cell combine_end(const struct combine *sum, struct bh_cell none)
{
	return (struct bh_cell){ .verdict = end(&sum->enforced, none.verdict),
				 .shadow = end(&sum->shadow, none.shadow) };
}
