// SPDX-License-Identifier: Apache-2.0
// yaml_write.c - JSON as YAML.
#include "agent/source/yaml_write.h"

#include <errno.h>
#include <stdbool.h>
#include <yaml.h>

#include "agent/base/cleanup.h"
#include "agent/source/yaml.h"

static void emitter_deletep(yaml_emitter_t *emitter)
{
	yaml_emitter_delete(emitter);
}

// Takes the event over, whatever comes of it.
static int emit(yaml_emitter_t *emitter, int made, yaml_event_t *event)
{
	if (!made)
		return -ENOMEM;
	if (yaml_emitter_emit(emitter, event))
		return 0;
	return emitter->error == YAML_MEMORY_ERROR ? -ENOMEM : -EIO;
}

// Read without quotes it would be no string.
static bool needs_quotes(const char *text)
{
	_cleanup_json_ struct json_object *json = NULL;

	return yaml_scalar(text, &json) < 0 || !json_object_is_type(json, json_type_string);
}

static int write_scalar(yaml_emitter_t *emitter, const char *text, bool quoted)
{
	yaml_scalar_style_t style = quoted ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : YAML_PLAIN_SCALAR_STYLE;
	yaml_event_t event;

	return emit(emitter,
		    yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text, -1, 1, 1, style), &event);
}

static int write_value(yaml_emitter_t *emitter, struct json_object *json);

static int write_map(yaml_emitter_t *emitter, struct json_object *json)
{
	yaml_mapping_style_t style = json_object_object_length(json) ? YAML_BLOCK_MAPPING_STYLE : YAML_FLOW_MAPPING_STYLE;
	yaml_event_t event;
	int r = emit(emitter, yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, style), &event);

	json_object_object_foreach(json, key, value) {
		if (r == 0)
			r = write_scalar(emitter, key, needs_quotes(key));
		if (r == 0)
			r = write_value(emitter, value);
	}
	return r < 0 ? r : emit(emitter, yaml_mapping_end_event_initialize(&event), &event);
}

static int write_list(yaml_emitter_t *emitter, struct json_object *json)
{
	size_t n = json_object_array_length(json);
	yaml_event_t event;
	int r = emit(emitter,
		     yaml_sequence_start_event_initialize(&event, NULL, NULL, 1,
							  n ? YAML_BLOCK_SEQUENCE_STYLE : YAML_FLOW_SEQUENCE_STYLE),
		     &event);

	for (size_t i = 0; r == 0 && i < n; i++)
		r = write_value(emitter, json_object_array_get_idx(json, i));
	return r < 0 ? r : emit(emitter, yaml_sequence_end_event_initialize(&event), &event);
}

static int write_value(yaml_emitter_t *emitter, struct json_object *json)
{
	switch (json_object_get_type(json)) {
	case json_type_object:
		return write_map(emitter, json);
	case json_type_array:
		return write_list(emitter, json);
	case json_type_string:
		return write_scalar(emitter, json_object_get_string(json), needs_quotes(json_object_get_string(json)));
	default:
		return write_scalar(emitter, json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN), false);
	}
}

int yaml_write(FILE *out, struct json_object *json)
{
	_cleanup_(emitter_deletep) yaml_emitter_t emitter;
	yaml_event_t event;
	int r;

	if (!yaml_emitter_initialize(&emitter))
		return -ENOMEM;
	yaml_emitter_set_output_file(&emitter, out);
	yaml_emitter_set_unicode(&emitter, 1);
	yaml_emitter_set_width(&emitter, -1);
	r = emit(&emitter, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING), &event);
	if (r == 0)
		r = emit(&emitter, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 0), &event);
	if (r == 0)
		r = write_value(&emitter, json);
	if (r == 0)
		r = emit(&emitter, yaml_document_end_event_initialize(&event, 1), &event);
	return r < 0 ? r : emit(&emitter, yaml_stream_end_event_initialize(&event), &event);
}
