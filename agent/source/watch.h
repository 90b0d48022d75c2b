// SPDX-License-Identifier: Apache-2.0
// watch.h - inotify on folders, reduced to two facts: this file changed, or look at everything again.
//
// World: host, one thread. Pure: no (inotify, event loop). Owns: the inotify descriptor and its event.
#pragma once

#include <event2/event.h>
#include <stdbool.h>

struct watch;

struct watch_events {
	void *arg;
	void (*changed)(void *arg, const char *path); // a manifest is complete, replaced or gone
	// A folder, a link or the whole changed shape. force: events were lost, trust no time stamps.
	void (*rescan)(void *arg, bool force);
};

int watch_new(struct event_base *base, const struct watch_events *events, struct watch **ret);
void watch_free(struct watch *watch); // NULL is fine

// Watches a folder (not those in it); once is enough, again does no harm. 0 or -errno; -ENOSPC: the
// user's limit of watches is reached.
int watch_folder(struct watch *watch, const char *path);

// Around a scan of everything: folders that were not watched anew between the two are watched no more.
void watch_scan_begin(struct watch *watch);
void watch_scan_end(struct watch *watch);

// A path stands for another folder than the one that is watched: a link was swapped, something mounted.
bool watch_stale(const struct watch *watch);
