# SPDX-License-Identifier: Apache-2.0
# What goes into the container image: the programs and the libraries they need, nothing else. The Containerfile
# copies this folder into an image from scratch; tests run the agent in it.

IMAGE := $(B)/image
IMAGE_PROGRAMS := $(PROGRAMS) $(CNI) $(B)/bulkhead-node

BASE ?= debian:12

.PHONY: image-root image image-check
image-root: $(B)/image.done ## what goes into the container image, in build/image

$(B)/bulkhead-node: deploy/node.c
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -static -o $@ $<

# ldd names each library with its path; the loader itself stands alone on its line.
$(B)/image.done: $(IMAGE_PROGRAMS) deploy/seccomp/bulkhead.json
	@rm -rf $(IMAGE) && mkdir -p $(IMAGE)
	$(call say,IMAGE,$(IMAGE))install -s -m 0755 $(IMAGE_PROGRAMS) $(IMAGE)/
	@install -m 0644 deploy/seccomp/bulkhead.json $(IMAGE)/seccomp.json
	@ldd $(PROGRAMS) | grep -oE '/[^ :]+\.so[^ ]*' | sort -u | while read -r lib; do \
		install -D -m 0755 "$$lib" "$(IMAGE)$$lib"; done
	@touch $@

image: ## build the container image from deploy/Containerfile by podman (BASE=IMAGE of Debian 12)
	$(Q)podman build --build-arg BASE=$(BASE) --build-arg COMMIT=$(GIT_COMMIT) -t bulkhead:$(VERSION) -f deploy/Containerfile .

image-check: all $(E2E_TOOLS) ## build the image and run it as the DaemonSet does (root; minutes: fetches Debian by debootstrap)
	$(Q)B=$(B) tests/deploy/image
