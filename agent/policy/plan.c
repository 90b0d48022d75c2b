// SPDX-License-Identifier: Apache-2.0
// plan.c - lists of steps.
#include "agent/policy/plan.h"

#include "agent/policy/must.h"

void plan_add(struct plan *plan, struct step step)
{
	if (plan->nsteps == plan->capacity) {
		plan->capacity = plan->capacity ? plan->capacity * 2 : 16;
		plan->steps = must(reallocarray(plan->steps, plan->capacity, sizeof(*plan->steps)));
	}
	plan->steps[plan->nsteps++] = step;
}

void plan_free(struct plan *plan)
{
	if (!plan)
		return;
	for (uint32_t i = 0; i < plan->nsteps; i++)
		if (plan->steps[i].kind == STEP_MATRIX_NEW)
			free(plan->steps[i].matrix.units);
	free(plan->steps);
	free(plan);
}

const char *step_kind_name(enum step_kind kind)
{
	static const char *const names[STEP_MAX] = {
		[STEP_WAIT] = "wait",
		[STEP_MATRIX_NEW] = "matrix-new",
		[STEP_MATRIX_UNIT] = "matrix-unit",
		[STEP_MATRIX_FREE] = "matrix-free",
		[STEP_CELL_SET] = "cell-set",
		[STEP_CELL_DEL] = "cell-del",
		[STEP_PEER_SET] = "peer-set",
		[STEP_PEER_DEL] = "peer-del",
		[STEP_CIDR_SET] = "cidr-set",
		[STEP_CIDR_DEL] = "cidr-del",
		[STEP_PORT_SET] = "port-set",
		[STEP_ENDPOINT] = "endpoint",
		[STEP_SERVICE_SET] = "service-set",
		[STEP_SERVICE_DEL] = "service-del",
		[STEP_SELF_SET] = "self-set",
		[STEP_SELF_DEL] = "self-del",
		[STEP_RESOLVE] = "resolve",
		[STEP_FORGET] = "forget",
	};

	return kind < STEP_MAX ? names[kind] : "unknown";
}

void policy_tables_fini(struct policy_tables *tables)
{
	for (uint32_t i = 0; i < tables->nmatrices; i++)
		free(tables->matrices[i].units);
	free(tables->matrices);
	free(tables->peers);
	free(tables->cidrs);
	free(tables->ports);
	free(tables->cells);
	free(tables->endpoints);
	free(tables->services);
	free(tables->selves);
	*tables = (struct policy_tables){ 0 };
}
