// SPDX-License-Identifier: Apache-2.0
// yaml_write.h - JSON as YAML for people, such that yaml.h reads the same again.
//
// World: host. Pure: no (a FILE). Owns: nothing.
#pragma once

#include <json-c/json.h>
#include <stdio.h>

// One document, with its "---". Strings that would mean something else without quotes get them. 0, -ENOMEM or -EIO.
int yaml_write(FILE *out, struct json_object *json);
