// SPDX-License-Identifier: Apache-2.0
// pin.h - the folder of pins: on a bpffs, mounted when there is none, removed with all that is in
// it.
//
// World: host. Pure: no. Owns: nothing between calls. Names in a bpffs may not have dots.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "agent/base/err.h"

#define PIN_DIR_BYTES 512 // of a folder's name, with its end
#define PIN_FOLDER_BYTES (PIN_DIR_BYTES + 32) // of an endpoint's folder in it

#define PIN_ENDPOINTS "ep" // a folder per slot with programs
#define PIN_QDISCS "qdisc" // devices that we gave a clsact qdisc

// Creates dir (0700) and what leads to it. If it would not lie on a bpffs, one is mounted: on dir
// itself, or on /sys/fs/bpf when dir is below it. What was mounted is remembered by a mark inside.
// Returns an fd that keeps every other agent out of the folder until it is closed; -EBUSY: one is in
// it. A folder of another user, or a link in its place, is refused.
int pin_dir_open(const char *dir, struct err *reterr);

// Only keeps others out. -ENOENT (reterr untouched): there is no such folder.
int pin_dir_lock(const char *dir, struct err *reterr);

// Removes what is ours in dir; if nothing else is left, dir itself and the mount that pin_dir_open()
// made. Idempotent.
int pin_dir_remove(const char *dir, struct err *reterr);

// Removes one pin or tree of pins. 0 also when it is not there.
int pin_remove(const char *path);

// Pins in place of what has that name now; readers see the old or the new one.
int pin_replace(int fd, const char *path);
