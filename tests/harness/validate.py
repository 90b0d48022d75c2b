#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""validate.py SCHEMA - each line of standard input is a JSON object that the schema allows. Prints how many, or the
first that is none, and why."""
import json
import sys

import jsonschema


def unique(pairs):
    keys = [key for key, _ in pairs]
    names = dict(pairs)
    if len(names) != len(keys) and "version" in names:
        raise ValueError("a key twice: %s" % sorted(keys))
    return names


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        schema = json.load(file)
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    validator = kind(schema)
    lines = 0
    for lines, line in enumerate(sys.stdin.buffer, 1):
        try:
            validator.validate(json.loads(line.decode("utf-8"), object_pairs_hook=unique))
        except (ValueError, jsonschema.ValidationError) as error:
            sys.exit("line %d: %s\n%r" % (lines, error, line))
    print(lines)


main()
