// SPDX-License-Identifier: Apache-2.0
// page.h - the plugin's manual page.
//
// World: host. Pure: no (prints). Owns: nothing.
#pragma once

#include <stdio.h>

void page_print(FILE *out); // roff
