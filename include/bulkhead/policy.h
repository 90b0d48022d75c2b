/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * policy.h - how a compiled policy lies in memory, and the one function that reads a verdict from it.
 *
 * World: shared: kernel programs, agent, simulator and tests run these lines. Pure: yes. Owns: nothing.
 *
 * An address has a peer class (bh_peer for exact addresses, else bh_cidr, the longest prefix); a
 * (protocol, port) has a port class (bh_port). A matrix is one direction of one compiled policy:
 * an array of 16-byte units
 *
 *	unit 0			head: generation, columns, where the column map and the cells begin
 *	unit 1 ..		row map: peer class -> row, 8 u16 a unit
 *	unit col_off ..		column map: port class -> column, 8 u16 a unit
 *	unit cell_off ..	cells, row by row, 2 a unit (dense); one default cell per row (sparse)
 *
 * A sparse matrix finds its exceptions in bh_cell {matrix, row, column} first.
 *
 * Reading order, which the publishing order (see agent/policy/plan.h) relies on:
 * endpoint -> matrix -> head -> classes -> cell. Never classes first.
 */
#pragma once

#include <linux/types.h>

#include <bulkhead/abi.h>
#include <bulkhead/reason.h>

/* Peer class of an address that is in no table: never in a row map, so it is denied (class-unknown). */
#define BH_CLASS_NONE 0
/* Port class of every (protocol, port) that no clause names, and of protocols without ports. */
#define BH_PORT_CLASS_NONE 0
/* In a row map: the matrix does not know the class. */
#define BH_ROW_NONE 0xffff

enum bh_verdict {
	BH_VERDICT_DENY = 0, /* by the NetworkPolicy tier: own node and hairpin pass it. 0: fails closed */
	BH_VERDICT_ALLOW = 1,
	BH_VERDICT_DENY_CLUSTER = 2, /* by a ClusterNetworkPolicy: nobody passes it */
	BH_VERDICT_MIXED = 3, /* kept for Services whose backends differ */
};

#define BH_RULE_BITS 30
#define BH_RULE_MASK ((1u << BH_RULE_BITS) - 1)
#define BH_RULE_NONE 0 /* no policy isolates: allowed by nobody's rule */

/* verdict in the top two bits, the deciding rule's id below */
#define BH_CELL_WORD(verdict, rule) (((__u32)(verdict) << BH_RULE_BITS) | ((rule) & BH_RULE_MASK))
#define BH_CELL_VERDICT(word) ((enum bh_verdict)((word) >> BH_RULE_BITS))
#define BH_CELL_RULE(word) ((word) & BH_RULE_MASK)

struct bh_cell {
	__u32 verdict; /* BH_CELL_WORD: what is enforced */
	__u32 shadow; /* BH_CELL_WORD: what it would be if policies in audit mode were enforced too */
};

#define BH_MATRIX_SPARSE (1u << 16) /* in bh_matrix_head.columns */

struct bh_matrix_head {
	__u32 gen; /* unique on the node among live matrices, never 0 */
	__u32 columns; /* low 16 bits: number of columns; BH_MATRIX_SPARSE */
	__u32 col_off; /* in units; row map capacity is (col_off - 1) * 8 classes */
	__u32 cell_off; /* in units; column map capacity is (cell_off - col_off) * 8 port classes */
};

union bh_unit {
	struct bh_matrix_head head;
	__u16 lane[8];
	struct bh_cell cell[2];
	__u32 w[4];
};
_Static_assert(sizeof(union bh_unit) == 16, "a unit is 16 bytes");

/* bh_cell: exceptions of sparse matrices. */
struct bh_cell_key {
	__u32 matrix; /* id in bh_policy */
	__u16 row;
	__u16 col;
};

/* bh_peer, by bh_addr. One 64-bit load; check is bh_addr_check() of the key. */
struct bh_peer {
	__u32 cls;
	__u32 check;
};

/* bh_port, by port (host order): one u16 per protocol. */
enum bh_port_proto { BH_PORT_TCP = 0, BH_PORT_UDP, BH_PORT_SCTP, BH_PORT_PROTO_MAX };
struct bh_port {
	__u16 cls[4];
};

/* What was read, for the caller that keeps it. */
struct bh_judgement {
	__u32 gen; /* of the matrix that judged */
	__u32 verdict; /* BH_CELL_WORD */
	__u32 shadow; /* BH_CELL_WORD */
};

/*
 * bh_matrix_read(UNIT, CELL, ctx, matrix_id, cls, pcls, out): the cell of (cls, pcls).
 * A macro over two readers, as the kernel reads maps and the host reads memory:
 *   const union bh_unit *UNIT(ctx, __u32 index)		NULL beyond the end
 *   const struct bh_cell *CELL(ctx, const struct bh_cell_key *)	NULL: no exception
 * out->gen is read before the classes are: the caller fetches the head with bh_matrix_head() first.
 * Returns BH_REASON_ALLOWED or _POLICY_DENIED as the cell says, or the reason of a failure.
 */
#define BH_DEFINE_MATRIX_READ(name, ctx_t, UNIT, CELL)                                             \
	static __attribute__((always_inline)) inline enum bh_reason name(                          \
		ctx_t ctx, const struct bh_matrix_head *head, __u32 matrix, __u32 cls, __u32 pcls, \
		struct bh_judgement *out)                                                          \
	{                                                                                          \
		__u32 columns = head->columns & 0xffff;                                            \
		const union bh_unit *unit;                                                         \
		__u32 row, col, index;                                                             \
                                                                                                   \
		index = 1 + (cls >> 3);                                                            \
		unit = index < head->col_off ? UNIT(ctx, index) : 0;                               \
		if (!unit)                                                                         \
			return BH_REASON_CLASS_UNKNOWN;                                            \
		row = unit->lane[cls & 7];                                                         \
		index = head->col_off + (pcls >> 3);                                               \
		unit = index < head->cell_off ? UNIT(ctx, index) : 0;                              \
		if (!unit || row == BH_ROW_NONE)                                                   \
			return BH_REASON_CLASS_UNKNOWN;                                            \
		col = unit->lane[pcls & 7];                                                        \
		if (col >= columns)                                                                \
			return BH_REASON_CLASS_UNKNOWN;                                            \
		if (head->columns & BH_MATRIX_SPARSE) {                                            \
			struct bh_cell_key key = { matrix, (__u16)row, (__u16)col };               \
			const struct bh_cell *cell = CELL(ctx, &key);                              \
                                                                                                   \
			if (cell) {                                                                \
				out->verdict = cell->verdict;                                      \
				out->shadow = cell->shadow;                                        \
				goto found;                                                        \
			}                                                                          \
			index = row;                                                               \
		} else {                                                                           \
			index = row * columns + col;                                               \
		}                                                                                  \
		unit = UNIT(ctx, head->cell_off + (index >> 1));                                   \
		if (!unit)                                                                         \
			return BH_REASON_CLASS_UNKNOWN;                                            \
		out->verdict = unit->cell[index & 1].verdict;                                      \
		out->shadow = unit->cell[index & 1].shadow;                                        \
found:                                                                                             \
		return BH_CELL_VERDICT(out->verdict) == BH_VERDICT_ALLOW ? BH_REASON_ALLOWED :     \
									   BH_REASON_POLICY_DENIED;  \
	}
