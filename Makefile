# make help

# nginx's sources and configure flags: those of Debian's nginx-dev.
NGINX_SRC    ?= /usr/share/nginx/src
# The nginx binary that the tests start.
NGINX        ?= /usr/sbin/nginx
BUILD        ?= build
# make asan sets it: AddressSanitizer and UBSan in all that is built here.
SANITIZE     ?=
# Seconds that one unit test may take.
UNIT_TIMEOUT ?= 180
# Seconds per fuzzer.
FUZZ_SECONDS ?= 20
# What to test.
TESTS        ?= $(sort $(wildcard t/*.t))
PROVE        ?= prove
PROVEFLAGS   ?= --timer
DESTDIR      ?=
MODULES_DIR  ?= /usr/lib/nginx/modules
MODULES_CONF ?= /usr/share/nginx/modules-available
BINDIR       ?= /usr/bin

ROOT         := $(CURDIR)
override BUILD := $(abspath $(BUILD))
OBJS         := $(BUILD)/nginx
MODULE       := $(BUILD)/ngx_http_doi_module.so

comma        := ,
# gcc warns of what is not there once it has put in its checks.
SAN_FLAGS    := $(if $(SANITIZE),-fsanitize=address$(comma)undefined \
                    -fno-omit-frame-pointer -Wno-error)

# As Debian builds nginx itself.
CC_OPT       ?= -g -O2 -fstack-protector-strong -Wformat \
                -Werror=format-security -fPIC -Wdate-time \
                $(if $(SANITIZE),$(SAN_FLAGS),-D_FORTIFY_SOURCE=2)
LD_OPT       ?= -Wl,-z,relro -Wl,-z,now -fPIC $(SAN_FLAGS)

UNIT_CFLAGS  := -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -g -O2 -pthread \
                -iquote $(ROOT)/src -iquote $(ROOT)/src/core $(SAN_FLAGS)
UNIT_LIBS    := -ljansson -llmdb -lcurl -lical -lidn2 -lcrypto -pthread

C_FILES      := $(wildcard src/core/*.c src/store/*.c src/courier/*.c src/http/*.c)
H_FILES      := $(wildcard src/core/*.h src/store/*.h src/courier/*.h src/http/*.h)
PAGES        := $(wildcard pages/*)
LIB_FILES    := $(wildcard src/core/*.c src/store/*.c src/courier/*.c)
LIB_OBJS     := $(LIB_FILES:%.c=$(BUILD)/lib/%.o) $(BUILD)/lib/pages.o
LIB          := $(BUILD)/lib/libdoi.a

UNIT_FILES   := $(wildcard t/unit/*.c)
BENCH_FILES  := $(filter %_bench.c,$(UNIT_FILES))
UNITS        := $(patsubst t/unit/%.c,$(BUILD)/unit/%,\
                    $(filter-out $(BENCH_FILES),$(UNIT_FILES)))
BENCHES      := $(patsubst t/unit/%.c,$(BUILD)/unit/%,$(BENCH_FILES))
FUZZERS      := $(patsubst t/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard t/fuzz/*.c))

.PHONY: build install uninstall tools check unittest unittest-build test bench asan fuzz demo
.PHONY: clean help FORCE
.DELETE_ON_ERROR:
.SECONDARY:


## build      the module, to build/ngx_http_doi_module.so (default)

build: $(MODULE)

# What nginx's configure was told; a change makes it run again.

$(BUILD)/configured.with: FORCE
	@mkdir -p $(BUILD)
	@{ echo 'root $(ROOT) src $(NGINX_SRC)'; echo 'cc $(CC) $(CC_OPT)'; \
	   echo 'ld $(LD_OPT)'; printf '%s\n' $(C_FILES) $(H_FILES) $(PAGES); } \
	   > $@.new
	@if cmp -s $@.new $@; then rm -f $@.new; else mv $@.new $@; fi

$(OBJS)/Makefile: $(BUILD)/configured.with config config.make \
                  $(wildcard $(NGINX_SRC)/conf_flags)
	@test -r $(NGINX_SRC)/conf_flags || { \
	    echo 'error: no nginx sources in $(NGINX_SRC)' >&2; \
	    echo 'Debian: apt-get install nginx-dev, or set NGINX_SRC=' >&2; \
	    exit 1; }
	@echo 'configuring for $(NGINX_SRC)'
	@rm -rf $(OBJS)
	@mkdir -p $(OBJS)
	@bash -c '. $(NGINX_SRC)/conf_flags && cd $(NGINX_SRC) \
	    && CC="$(CC)" ./configure "$${NGX_CONF_FLAGS[@]}" \
	    --with-cc-opt="$(strip $(CC_OPT))" \
	    --with-ld-opt="$(strip $(LD_OPT))" \
	    --builddir=$(OBJS) --add-dynamic-module=$(ROOT)' \
	    > $(BUILD)/configure.log 2>&1 </dev/null \
	    || { tail -n 15 $(BUILD)/configure.log >&2; rm -f $@; exit 1; }

$(MODULE): $(OBJS)/Makefile $(C_FILES) $(H_FILES) $(PAGES) tools/embed.sh \
           tools/exports.map
	@$(MAKE) --no-print-directory -s -C $(NGINX_SRC) -f $(OBJS)/Makefile modules
	@cp $(OBJS)/ngx_http_doi_module.so $@.new
	@mv $@.new $@
	@echo 'built $@'


## install    the module, a load_module file, doi-ledger; DESTDIR= is honoured

install: $(MODULE) $(BUILD)/doi-ledger
	install -d $(DESTDIR)$(MODULES_DIR) $(DESTDIR)$(MODULES_CONF) \
	    $(DESTDIR)$(BINDIR)
	install -m 755 $(BUILD)/doi-ledger $(DESTDIR)$(BINDIR)/
	install -m 644 $(MODULE) $(DESTDIR)$(MODULES_DIR)/
	echo 'load_module modules/ngx_http_doi_module.so;' \
	    > $(DESTDIR)$(MODULES_CONF)/50-mod-http-doi.conf


## uninstall  what install has put there

uninstall:
	rm -f $(DESTDIR)$(MODULES_DIR)/ngx_http_doi_module.so \
	    $(DESTDIR)$(MODULES_CONF)/50-mod-http-doi.conf \
	    $(DESTDIR)$(BINDIR)/doi-ledger


## tools      doi-ledger, which verifies the consent ledger in a copy of a store

tools: $(BUILD)/doi-ledger

$(BUILD)/doi-ledger: tools/doi-ledger.c $(LIB)
	$(CC) $(UNIT_CFLAGS) -MMD -MP -MF $@.d -MT $@ -o $@ $< $(LIB) $(UNIT_LIBS)


## check      static analysis: layers, cppcheck, clang-tidy, shell scripts

check: $(OBJS)/Makefile
	@NGINX_SRC=$(NGINX_SRC) OBJS=$(OBJS) sh tools/check


# The library of unit tests and fuzzers: all but src/http.

-include $(LIB_OBJS:.o=.d) $(UNITS:=.d) $(BENCHES:=.d)

$(BUILD)/lib/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(UNIT_CFLAGS)' > $@.new
	@if cmp -s $@.new $@; then rm -f $@.new; else mv $@.new $@; fi

$(BUILD)/lib/pages.c: tools/embed.sh $(PAGES) pages
	@mkdir -p $(@D)
	@sh tools/embed.sh $(ROOT)/pages > $@.new
	@mv $@.new $@

$(BUILD)/lib/pages.o: $(BUILD)/lib/pages.c $(BUILD)/lib/flags
	$(CC) $(UNIT_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/lib/%.o: %.c $(BUILD)/lib/flags
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/lib/list: FORCE
	@mkdir -p $(@D)
	@echo '$(LIB_OBJS)' > $@.new
	@if cmp -s $@.new $@; then rm -f $@.new; else mv $@.new $@; fi

$(LIB): $(LIB_OBJS) $(BUILD)/lib/list
	@rm -f $@
	ar rcs $@ $(LIB_OBJS)

$(BUILD)/unit/%: t/unit/%.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -iquote $(ROOT)/t/unit -MMD -MP -MF $@.d -MT $@ \
	    -o $@ $< $(LIB) $(UNIT_LIBS)


## unittest   the unit tests in C

unittest: unittest-build
	@if [ -n '$(UNITS)' ]; then \
	    DOI_ROOT=$(ROOT) $(PROVE) $(PROVEFLAGS) \
	        --exec 'timeout -k 5 $(UNIT_TIMEOUT)' $(UNITS) </dev/null; \
	 else echo 'no unit tests'; fi

unittest-build: $(UNITS) $(BENCHES)


## test       everything: build, unit tests, t/*.t with a real nginx
##            (TESTS='t/a.t t/b.t' for some)

test: build tools unittest
	@DOI_MODULE=$(MODULE) DOI_BUILD=$(BUILD) DOI_NGINX=$(NGINX) \
	    $(PROVE) $(PROVEFLAGS) -It/lib $(TESTS) </dev/null


## bench      benchmarks: t/unit/*_bench.c, t/bench/links and t/bench/consent

bench: build $(BENCHES)
	@for b in $(BENCHES); do echo "== $${b##*/}"; $$b </dev/null || exit 1; done
	@rc=0; for b in t/bench/links t/bench/consent; do \
	     echo "== $$b"; \
	     DOI_MODULE=$(MODULE) DOI_BUILD=$(BUILD) DOI_NGINX=$(NGINX) \
	     $$b </dev/null || rc=1; done; exit $$rc


## asan       the whole suite with AddressSanitizer and UBSan, in build/asan

asan:
	@DOI_ASAN=1 \
	 ASAN_OPTIONS=strict_string_checks=1:detect_stack_use_after_return=1 \
	 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
	 $(MAKE) --no-print-directory BUILD=$(BUILD)/asan SANITIZE=1 test


## fuzz       each fuzzer of t/fuzz for FUZZ_SECONDS (20)

fuzz: $(FUZZERS)
	@for f in $(FUZZERS); do \
	    name=$${f##*/}; corpus=$(BUILD)/fuzz/corpus-$$name; \
	    seeds=; dict=; \
	    [ ! -d t/fuzz/seeds/$$name ] || seeds=t/fuzz/seeds/$$name; \
	    [ ! -f t/fuzz/$$name.dict ] || dict=-dict=t/fuzz/$$name.dict; \
	    mkdir -p $$corpus; \
	    echo "== $$name"; \
	    $$f -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 \
	        -artifact_prefix=$(BUILD)/fuzz/$$name- $$dict $$corpus $$seeds \
	        > $(BUILD)/fuzz/$$name.log 2>&1 </dev/null \
	        || { tail -n 40 $(BUILD)/fuzz/$$name.log; exit 1; }; \
	    grep -E 'number_of_executed_units|average_exec' \
	        $(BUILD)/fuzz/$$name.log; \
	 done

$(BUILD)/fuzz/%: t/fuzz/%.c $(LIB_FILES) $(H_FILES) $(BUILD)/lib/pages.c
	@mkdir -p $(@D)
	clang -std=gnu11 -D_GNU_SOURCE -g -O1 -pthread \
	    -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
	    -iquote $(ROOT)/src -iquote $(ROOT)/src/core -o $@ $< $(LIB_FILES) \
	    $(BUILD)/lib/pages.c $(UNIT_LIBS)


## demo       demo/run: the module in front of a small booking app

demo:
	@demo/run


## clean      removes build/

clean:
	rm -rf $(BUILD)

help:
	@sed -n 's/^## \{0,1\}//p' $(firstword $(MAKEFILE_LIST))
