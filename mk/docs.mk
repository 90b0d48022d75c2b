# SPDX-License-Identifier: Apache-2.0
# Man pages and completions: written by the programs from the tables that parse their options.

.PHONY: man completion
man: $(B)/man/.done ## write the man pages to build/man
completion: $(B)/completion/bulkhead.bash $(B)/completion/bulkheadd.bash ## write the bash completions to build/completion

$(B)/man/.done: $(B)/bulkhead $(B)/bulkheadd $(CNI)
	@rm -rf $(@D) && mkdir -p $(@D)
	$(call say,MAN,$(@D))$(B)/bulkhead __man $(@D) && $(B)/bulkheadd __man > $(@D)/bulkheadd.8 && \
		$(CNI) __man > $(@D)/bulkhead-cni.8
	@touch $@

$(B)/completion/bulkhead.bash: $(B)/bulkhead
	@mkdir -p $(@D)
	$(call say,COMPL,$@)$< completion bash > $@

$(B)/completion/bulkheadd.bash: $(B)/bulkheadd
	@mkdir -p $(@D)
	$(call say,COMPL,$@)$< __completion > $@
