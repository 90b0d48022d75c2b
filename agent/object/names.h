// SPDX-License-Identifier: Apache-2.0
// names.h - the API's rules of how names, labels and ports are written.
//
// World: host. Pure: yes. Owns: nothing.
// Each returns NULL if the text is fine, else what is wrong, as the end of a sentence.
#pragma once

const char *
name_check_subdomain(const char *text);         // object names: RFC 1123 subdomain, 253 characters
const char *name_check_label(const char *text); // namespaces: RFC 1123 label, 63 characters
const char *name_check_port(const char *text);  // named ports: 15 characters, a letter at least
const char *name_check_label_key(const char *text);   // [subdomain/]name, name of 63 characters
const char *name_check_label_value(const char *text); // "" or 63 characters
const char *name_check_domain(const char *text); // domainNames: [*.]a.b, labels of [-a-zA-Z0-9_]
