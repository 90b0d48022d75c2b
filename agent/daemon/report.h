// SPDX-License-Identifier: Apache-2.0
// report.h - reporting to the API server, where there is one. Private to this room.
//
// World: host. Pure: no. Owns: nothing; the report is the daemon's.
#pragma once

#include "agent/daemon/daemon.h"
#include "agent/report/report.h"

int daemon_report_open(
	struct daemon *daemon); // once the source is open; none for a folder, or when it is off

// A policy object changed or cannot be read; the compiler looked at all.
void daemon_report_policy(struct daemon *daemon);
void daemon_report_compiled(struct daemon *daemon);
