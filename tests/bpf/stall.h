/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * stall.h - how a test and a held reader talk; see stall.bpf.c.
 *
 * World: shared, tests.
 */
#pragma once

#include <linux/types.h>

struct stall {
	__u32 armed;
	__u32 at; /* it stops before the load of this number, from 0 */
	__u32 loads; /* made since it was armed */
	__u32 here; /* it stands */
	__u32 go;
	__u32 left; /* it went on */
	__u32 lost; /* nobody let it go in time */
	__u32 between; /* the first that finds no connection stops before it looks for a half-open flow */
};
