// SPDX-License-Identifier: Apache-2.0
// report_html.h - a report as one page that needs nothing else.
//
// World: host. Pure: yes. Owns: nothing.
#pragma once

#include <json-c/json.h>
#include <stdio.h>

// Texts of the report are hostile: whatever they hold is shown, never obeyed.
void report_html(FILE *out, struct json_object *report);
