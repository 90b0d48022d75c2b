// SPDX-License-Identifier: Apache-2.0
// other_abi.h - included before all else, makes a build whose tables are of the layout after this one's.
//
// World: host, tests. Pure: yes. Owns: nothing.
#pragma once

#include <bulkhead/abi.h>

enum { OTHER_ABI_VERSION = BH_ABI_VERSION + 1 };
#undef BH_ABI_VERSION
#define BH_ABI_VERSION OTHER_ABI_VERSION
