# One Makefile, never recursive but to build a second tree with other flags, or after it has
# installed what the first reading lacked. `make help` lists the targets.
#
# A new .c file in common/, producer/, consumer/ or api/ is picked up by itself, and so is a
# tests/unit/*_test.c, a tests/integration/*_test.c, a tests/fuzz/*_fuzz.c, a tests/stand/*.c and a
# bench/*.c. What a test links is the part of a program without its main.c. sql/*.sql is embedded
# into the consumer. Each set of flags has a tree of its own: build, build-asan, build-tsan, ...

PREFIX  ?= /usr/local
CFLAGS  ?= -O2 -g
BUILD   ?= build
FORTIFY ?= -D_FORTIFY_SOURCE=2
PYTHON  ?= /usr/bin/python3
# The producer's. Sanitizers bring their own: without a name it is the C library's.
ALLOCATOR ?= libtcmalloc_minimal
PKGS    := libcurl rdkafka libpq libpcre2-8 libcjson libconfig libmicrohttpd libcares libcrypto libssl sqlite3 libsodium \
            libsystemd zlib
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

ALL_CPPFLAGS := -I. -D_GNU_SOURCE $(FORTIFY) -DPCRE2_CODE_UNIT_WIDTH=8 \
                $(if $(ALLOCATOR),-DHAVE_TCMALLOC) $(shell pkg-config --cflags $(PKGS) 2>/dev/null) $(CPPFLAGS)
# What is built does not say where it was built.
PREFIX_MAP   ?= -ffile-prefix-map=$(CURDIR)=.
WARNINGS     := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla
ALL_CFLAGS   := -std=gnu17 $(WARNINGS) -fstack-protector-strong -fPIE -pthread -MMD -MP $(PREFIX_MAP) $(CFLAGS)
ALL_LDFLAGS  := -pie -pthread -Wl,-z,relro,-z,now,--as-needed $(LDFLAGS)
LIBS         := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lm
ALLOCATOR_LIBS := $(if $(ALLOCATOR),$(shell pkg-config --libs $(ALLOCATOR) 2>/dev/null))

# `make V=1` shows the commands in full.
ifeq ($(V),)
say = @echo '  $(1)	$@';
endif

objects  = $(patsubst %.c,$(BUILD)/%.o,$(wildcard $(1)/*.c))
parts    = $(filter-out %/main.o,$(call objects,$(1)))
programs = $(patsubst %.c,$(BUILD)/%,$(wildcard $(1)))
PROGRAMS    := $(patsubst %/main.c,$(BUILD)/bin/%,$(wildcard producer/main.c consumer/main.c api/main.c))
ARCHIVES    := $(BUILD)/producer.a $(BUILD)/consumer.a $(BUILD)/api.a $(BUILD)/common.a
UNITS       := $(call programs,tests/unit/*_test.c)
INTEGRATION := $(call programs,tests/integration/*_test.c)
FUZZERS     := $(call programs,tests/fuzz/*_fuzz.c)
STAND       := $(call programs,tests/stand/*.c deploy/demo/*.c)
BENCHES     := $(call programs,bench/*.c)
LINKED_IN   := $(patsubst %.c,$(BUILD)/%.o,$(LINK_IN)) # sources that every program gets
SQL         := $(sort $(wildcard sql/*.sql))
ASSETS      := api/schemas.json $(sort $(wildcard api/web/*.* api/web/vendor/*.js api/web/vendor/*.css))

all: $(PROGRAMS) ## build the programs

units: $(UNITS)
stand: $(STAND)
benches: $(BENCHES)
everything: $(PROGRAMS) $(UNITS) $(INTEGRATION) $(STAND)
objects: $(foreach dir,common producer consumer api,$(call objects,$(dir))) \
         $(BUILD)/sql/migrations.o $(BUILD)/api/embedded.o

$(BUILD)/bin/%: $(BUILD)/%/main.o $(BUILD)/%.a $(BUILD)/common.a $(LINKED_IN)
	@mkdir -p $(@D)
	$(call say,link)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(UNITS) $(INTEGRATION) $(FUZZERS) $(STAND) $(BENCHES): $(BUILD)/%: $(BUILD)/%.o $(ARCHIVES) $(LINKED_IN)
	$(call say,link)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(LINKED_IN) $(ARCHIVES) $(LIBS) $(TEST_LIBS)

$(BUILD)/bin/producer: private LIBS += $(ALLOCATOR_LIBS)
$(UNITS) $(INTEGRATION): private TEST_LIBS = -lcmocka $(ALLOCATOR_LIBS)
$(FUZZERS): private TEST_LIBS = -fsanitize=fuzzer

$(BUILD)/common.a: $(call objects,common)
$(BUILD)/producer.a: $(call parts,producer)
$(BUILD)/consumer.a: $(call parts,consumer) $(BUILD)/sql/migrations.o
$(BUILD)/api.a: $(call parts,api) $(BUILD)/api/embedded.o
$(BUILD)/%.a:
	$(call say,ar)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/%.o: %.c $(BUILD)/flags | libraries
	@mkdir -p $(@D)
	$(call say,cc)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

# Only main.o carries the version, which changes with every commit.
$(BUILD)/producer/main.o $(BUILD)/consumer/main.o $(BUILD)/api/main.o: private ALL_CPPFLAGS += -DVERSION='"$(VERSION)"'
$(BUILD)/producer/main.o $(BUILD)/consumer/main.o $(BUILD)/api/main.o: $(BUILD)/version

$(BUILD)/sql/migrations.c: $(SQL) common/embed.sh Makefile
	@mkdir -p $(@D)
	$(call say,embed)sh common/embed.sh consumer/migrate.h 'const struct migration migrations[]' \
	    '{NUMBER, "STEM", BYTES}' $(SQL) >$@.new && mv $@.new $@
$(BUILD)/sql/migrations.o: $(BUILD)/sql/migrations.c
	$(call say,cc)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

$(BUILD)/api/embedded.c: $(ASSETS) common/embed.sh Makefile
	@mkdir -p $(@D)
	$(call say,embed)sh common/embed.sh api/assets.h 'const struct asset assets[]' \
	    '{"PATH", "HASH", BYTES, LEN}' $(ASSETS) >$@.new && mv $@.new $@
$(BUILD)/api/embedded.o: $(BUILD)/api/embedded.c
	$(call say,cc)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

# Files that change only when what they hold does: other flags or another version build anew.
define stamp
@mkdir -p $(@D)
@printf '%s\n' '$(1)' | cmp -s - $@ || printf '%s\n' '$(1)' >$@
endef
$(BUILD)/flags: FORCE
	$(call stamp,$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS))
$(BUILD)/version: FORCE
	$(call stamp,$(VERSION))
FORCE:

libraries:
	@pkg-config --exists $(PKGS) $(ALLOCATOR) || { echo 'libraries are missing: make deps' >&2; exit 1; }

deps: ## install what a build needs (Debian, root or sudo)
	deploy/deps.sh build

demo: ## show it at work: a broker, a Postgres, sites, all programs and the dashboard (URL=, PATTERN=, SECONDS=)
	deploy/deps.sh demo
	$(MAKE) all stand
	BUILD=$(BUILD) URL="$$DEMO_URL" PATTERN="$$DEMO_PATTERN" DEMO_SECONDS="$$DEMO_SECONDS" \
	    bash deploy/demo/run.sh
# By their value, not expanded: a '$$' in them is the user's, not make's.
demo: export DEMO_URL = $(value URL)
demo: export DEMO_PATTERN = $(value PATTERN)
demo: export DEMO_SECONDS = $(value SECONDS)

docs-options: all ## put the programs' options into man/ and docs/settings.md
	sh docs/options.sh $(BUILD)/bin

# ---- tests: docs/testing.md says what each is for ----
#
# Sanitizers change what the compiler sees, and so its warnings: only lint makes those errors.

ASAN_FLAGS := CFLAGS='-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
              -fno-sanitize-recover=all' FORTIFY=-U_FORTIFY_SOURCE ALLOCATOR=
TSAN_FLAGS := CFLAGS='-O1 -g -fsanitize=thread' FORTIFY=-U_FORTIFY_SOURCE ALLOCATOR= \
              LINK_IN=tests/stand/tsan/c11threads.c
FUZZ_FLAGS := CC=clang CFLAGS='-O1 -g -fsanitize=address,undefined,fuzzer-no-link \
              -fno-sanitize-recover=all' FORTIFY=-U_FORTIFY_SOURCE ALLOCATOR=
COVERAGE_FLAGS := CFLAGS='-O0 -g --coverage -fprofile-update=atomic' FORTIFY=-U_FORTIFY_SOURCE \
                  PREFIX_MAP=

test: ## every check there is, as CI runs it
	deploy/deps.sh test
	$(PYTHON) -B tests/run

test-unit: units ## the unit tests
	$(PYTHON) -B tests/run --units $(BUILD)

test-integration: all stand $(INTEGRATION) ## against a real Kafka, Postgres and sites (ARGS='-k name')
	SITEWATCH_BIN=$${SITEWATCH_BIN:-$(BUILD)/bin} SITEWATCH_STAND=$(BUILD)/tests/stand \
	    $(PYTHON) -B -m pytest -q --tb=short -p no:cacheprovider tests/integration $(ARGS)

test-web: all ## the dashboard in a browser (ARGS='--test-name-pattern=text')
	$(PYTHON) -B tests/web/run $(ARGS)

screenshots: all ## the pictures of docs/, by the tests of the dashboard
	WEB_SCREENSHOTS=$(CURDIR)/docs $(PYTHON) -B tests/web/run --test-name-pattern=picture

test-deploy: all ## images and stacks of deploy/, with a container engine (ARGS='-k name')
	$(PYTHON) -B -m pytest -q --tb=short -p no:cacheprovider tests/deploy $(ARGS)

test-cov: coverage ## the same as coverage

check-asan: ## unit and integration tests with the address and undefined behaviour sanitizers
	$(MAKE) BUILD=build-asan $(ASAN_FLAGS) everything
	$(MAKE) BUILD=build-asan $(ASAN_FLAGS) test-unit test-integration

check-tsan: ## unit and integration tests with the thread sanitizer
	$(MAKE) BUILD=build-tsan $(TSAN_FLAGS) everything
	$(MAKE) BUILD=build-tsan $(TSAN_FLAGS) test-unit test-integration

build-asan build-tsan build-fuzz: build-%: FORCE
	$(MAKE) BUILD=$@ $(if $(filter asan,$*),$(ASAN_FLAGS) everything,$(if $(filter \
	    tsan,$*),$(TSAN_FLAGS) everything,$(FUZZ_FLAGS) fuzzers))

# The consumer without state and marks, to measure what they cost.
build-rows: FORCE
	$(MAKE) BUILD=$@ LINK_IN=bench/variant/rows_only.c build-rows/bin/consumer \
	    LDFLAGS='$(LDFLAGS) -Wl,--wrap=store_state_resolve,--wrap=store_state_write'

fuzzers: $(FUZZERS)

ROUNDS ?= 10
SEED   ?= 1
fault: all ## break the pipeline at random for ROUNDS rounds from SEED on; is each check stored once?
	SITEWATCH_BIN=$(BUILD)/bin $(PYTHON) -B tests/fault/run --seed $(SEED) --rounds $(ROUNDS)

fault-mutants: ## programs with a guard taken out must fail in it within ROUNDS rounds
	$(PYTHON) -B tests/fault/mutate --seed $(SEED) --rounds $(ROUNDS)

FUZZ_SECONDS ?= 60
fuzz: build-fuzz ## run each fuzzer for FUZZ_SECONDS; what it finds is kept in build-fuzz/corpus
	$(PYTHON) -B tests/run --fuzz build-fuzz $(FUZZ_SECONDS)

coverage: ## lines that unit and integration tests reach: a table, and build-coverage/html
	$(MAKE) BUILD=build-coverage $(COVERAGE_FLAGS) everything
	find build-coverage -name '*.gcda' -delete
	status=0; for step in test-unit test-integration show-coverage; do \
	    $(MAKE) BUILD=build-coverage $(COVERAGE_FLAGS) $$step || status=1; done; exit $$status

show-coverage:
	mkdir -p build-coverage/html
	gcovr --root . --object-directory build-coverage --filter common/ --filter producer/ \
	    --filter consumer/ --filter api/ --html-details build-coverage/html/index.html --txt - \
	    --fail-under-line 95 build-coverage

bench: bench-probe bench-sink ## what a check and a row cost, beside peers in the same run
bench-probe: all stand $(BENCHES) ## the producer's half (ARGS=names of its sections, BENCH_QUICK=1)
	deploy/deps.sh bench
	bench/peers.sh
	$(PYTHON) -B bench/probe $(ARGS)
	$(PYTHON) -B bench/report
bench-sink: all stand $(BENCHES) build-rows ## the consumer's half (the same, and BENCH_EVENTS=)
	bench/sinkpeers.sh
	$(PYTHON) -B bench/sink $(ARGS)
	$(PYTHON) -B bench/report
bench-api: all ## GET /websites of 10,000 sites at 200 requests a second (BENCH_SITES=, BENCH_SECONDS=)
	deploy/deps.sh bench
	$(PYTHON) -B bench/api
bench-queries: all stand ## queries of a dashboard over a month's rows and a year's rollups
	$(PYTHON) -B bench/queries

soak: all stand ## 15 minutes among sites that misbehave: memory, descriptors and lag (SOAK_SECONDS=)
	$(PYTHON) -B tests/soak

schemathesis: stand ## ask the api all that /openapi.json says, for ten minutes (SCHEMA_SECONDS=, SCHEMA_SEED=)
	$(MAKE) build-asan
	SITEWATCH_BIN=build-asan/bin SCHEMA_SECONDS=$${SCHEMA_SECONDS:-600} TEST_SECONDS_MAX=1200 \
	    $(MAKE) test-integration ARGS='-k schemathesis'

SCALE ?= 10000:5:120,1000000:300:180
scale: all stand ## 10,000 and 1,000,000 sites on one core: lag, start, reload, memory (10 min)
	SCALE=$(SCALE) SCALE_ASSERT_TIMES=1 TEST_SECONDS_MAX=900 \
	    $(MAKE) test-integration ARGS='-s -k many_sites_on_one_core'

scale-out: all stand ## many producers of the topic's sites: shared, killed, joined, moved, 1,000,000 sites (15 min)
	SITEWATCH_BIN=$${SITEWATCH_BIN:-$(BUILD)/bin} $(PYTHON) -B tests/scaleout

# ---- lint: each lint-* is one check of its own ----

SOURCES := $(wildcard common/*.[ch] producer/*.[ch] consumer/*.[ch] api/*.[ch] tests/*/*.[ch] \
               tests/stand/tsan/*.c deploy/demo/*.[ch] bench/*.[ch] bench/*/*.[ch])
PRODUCT := $(filter common/% producer/% consumer/% api/%,$(SOURCES))
SCRIPTS  = $(shell git ls-files -co --exclude-standard | xargs -r grep -lE '^\#!/(usr/)?bin/(env )?(ba)?sh' 2>/dev/null)
LINTS   := lint-gcc lint-clang lint-format lint-tidy lint-cppcheck lint-shell lint-bans lint-headers \
           lint-man lint-units lint-hardening lint-packages lint-docker
BANNED  := sprintf|vsprintf|strcpy|stpcpy|strncpy|strcat|strncat|strtok|atoi|atol|atof|gets|gmtime|localtime

lint: $(LINTS) ## warnings as errors, analyzers, formats, banned functions

lint-gcc: # the compiler's own analyzer
	$(MAKE) BUILD=build-lint CC=gcc CFLAGS='-O2 -g -Werror -fanalyzer' objects

lint-clang:
	$(MAKE) BUILD=build-clang CC=clang CFLAGS='-O1 -g -Werror' everything benches

# Of Python's registry, and in an environment of its own (TOOLS); see tests/requirements.txt.
export TOOLS ?= build/tools
tools:
	@$(PYTHON) -B tests/fetch tools

lint-format: tools
	@$(TOOLS)/bin/clang-format --dry-run -Werror $(SOURCES)

lint-tidy: $(BUILD)/sql/migrations.c
	@printf '%s\n' $(filter %.c,$(PRODUCT)) | xargs -P 2 -n 4 sh -c \
	    'clang-tidy --quiet "$$@" -- $(ALL_CPPFLAGS) -DVERSION=\"x\" -std=gnu17 2>/dev/null' lint

# It is given the one system header whose macros it must know; it mistakes uthash's loops for
# reads of uninitialised memory, which the compilers look for anyway, and newer ones tell of each
# file in which they do not follow every branch.
lint-cppcheck:
	@cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 -j 2 \
	    --enable=warning,portability,performance --suppress=missingIncludeSystem \
	    --suppress=uninitvar --suppress=normalCheckLevelMaxBranches -I. -D_GNU_SOURCE -DPCRE2_CODE_UNIT_WIDTH=8 -DVERSION='"x"' \
	    --include=$(firstword $(wildcard /usr/include/sys/queue.h /usr/include/*/sys/queue.h)) \
	    $(filter %.c,$(PRODUCT))

lint-shell:
	@shellcheck $(SCRIPTS)

lint-bans:
	@! grep -HnE '(^|[^_[:alnum:]])($(BANNED))\(' $(SOURCES)

# Each compiles alone. cmocka.h itself wants others before it, so helpers of tests get them given.
CMOCKA := -include setjmp.h -include stdarg.h -include stddef.h -include stdint.h -include cmocka.h
lint-headers:
	@set -e; for header in $(filter %.h,$(SOURCES)); do \
	    case $$header in tests/unit/*|tests/integration/*) given='$(CMOCKA)' ;; *) given= ;; esac; \
	    echo "#include \"$$header\"" | $(CC) $(ALL_CPPFLAGS) -std=gnu17 $(WARNINGS) -Werror $$given \
	        -Wno-unused-function -Wno-unused-variable -fsyntax-only -x c -; done

lint-man:
	@mandoc -Tlint -W warning $(MAN_PAGES)

lint-units: # of systemd: nothing unknown in them, and an exposure under 2.0
	@tests/lint/units.sh

lint-hardening: all # what compiler and linker were asked for is in the programs
	@tests/lint/hardening.sh $(PROGRAMS)

lint-packages: all # vulnerabilities of the libraries on this machine; shown, no failure
	@tests/lint/packages.sh $(PROGRAMS)

lint-docker: tools
	@$(TOOLS)/bin/hadolint $(wildcard deploy/Dockerfile)

# ---- installing, and the short forms for work on one machine ----

# Units name the programs by their path, so they are written for $(PREFIX). Files in /etc that are
# there are left alone: they are the administrator's.
SYSCONFDIR ?= /etc
prefix    := $(DESTDIR)$(PREFIX)
confdir   := $(DESTDIR)$(SYSCONFDIR)/sitewatch
docdir    := $(prefix)/share/doc/sitewatch
MAN_PAGES := $(wildcard man/*.[1-8])
UNITS_OF_SYSTEMD := $(wildcard deploy/systemd/*.service)
CONF_FILES := $(wildcard deploy/systemd/*.env deploy/systemd/*.dsn) deploy/local/sites.conf
install: all install-files ## install under $(DESTDIR)$(PREFIX), and settings in $(DESTDIR)/etc/sitewatch
	install -d $(prefix)/bin
	install -m 755 $(PROGRAMS) $(prefix)/bin

install-files: # all but the programs
	install -d $(docdir)/examples $(prefix)/lib/systemd/system $(confdir)/kafka $(confdir)/postgres
	install -m 644 README.md LICENSE $(docdir)
	install -m 644 deploy/local/sites.conf .env.example $(docdir)/examples
	install -D -m 644 deploy/systemd/sitewatch.sysusers $(prefix)/lib/sysusers.d/sitewatch.conf
	install -D -m 644 deploy/systemd/sitewatch.tmpfiles $(prefix)/lib/tmpfiles.d/sitewatch.conf
	set -e; for page in $(MAN_PAGES); do \
	    install -D -m 644 $$page $(prefix)/share/man/man$${page##*.}/$${page##*/}; done
	set -e; for unit in $(notdir $(UNITS_OF_SYSTEMD)); do \
	    sed 's|^\(Exec[A-Za-z]*=\)/usr/bin/|\1$(PREFIX)/bin/|' deploy/systemd/$$unit \
	        >$(prefix)/lib/systemd/system/$$unit; done
	set -e; for file in $(CONF_FILES); do \
	    case $$file in *.dsn) mode=600 ;; *) mode=644 ;; esac; \
	    [ -e $(confdir)/$${file##*/} ] || install -m $$mode $$file $(confdir); done

uninstall: ## remove what install puts there, but for the settings
	rm -f $(addprefix $(prefix)/bin/,$(notdir $(PROGRAMS))) \
	    $(foreach page,$(MAN_PAGES),$(prefix)/share/man/man$(subst .,,$(suffix $(page)))/$(notdir $(page))) \
	    $(addprefix $(prefix)/lib/systemd/system/,$(notdir $(UNITS_OF_SYSTEMD))) \
	    $(prefix)/lib/sysusers.d/sitewatch.conf $(prefix)/lib/tmpfiles.d/sitewatch.conf
	rm -rf $(docdir)

deb: ## the Debian package, in build/deb
	deploy/debian/build.sh

deb-check: ## build, lint, install and purge it in clean Debian 12 and 13 roots (needs a docker)
	deploy/debian/check.sh

sbom: all ## what the programs are linked with, as CycloneDX: build/sbom.cdx.json
	$(PYTHON) -B deploy/sbom --version '$(VERSION)' $(PROGRAMS) >$(BUILD)/sbom.cdx.json

hooks: ## have git run .githooks/pre-commit before each commit
	git config core.hooksPath .githooks

# The environment of .env, where there is one; LOG_LEVEL= on make's command line wins.
TARGETS ?= deploy/local/sites.conf
run = set -a; if [ -e .env ]; then . ./.env; fi; $(if $(LOG_LEVEL),LOG_LEVEL=$(LOG_LEVEL);) exec

local-install: ## install what the build needs, and build
	deploy/deps.sh build
	$(MAKE) all
local-run-migration: all ## make the database and its tables
	$(run) $(BUILD)/bin/consumer migrate
local-run-website-seeding: all ## put the sites of TARGETS into the database
	$(run) $(BUILD)/bin/consumer seed $(TARGETS)
local-run-monitor-producer: all ## check the sites of TARGETS
	$(run) $(BUILD)/bin/producer --targets-file $(TARGETS)
local-run-monitor-consumer: all ## store what the producers find
	$(run) $(BUILD)/bin/consumer
local-run-unit-tests: test-unit ## the same as test-unit
local-show-coverage: coverage ## the same as coverage
local-run-code-checks: lint ## the same as lint

# ---- containers: docs/deploy.md ----

IMAGES  ?= sitewatch
TAG     ?= latest
COMPOSE  = IMAGES=$(IMAGES) TAG=$(TAG) docker compose --project-directory deploy/local
EPOCH   := $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
image-%: FORCE
	docker build --quiet --file deploy/Dockerfile --target $* --tag $(IMAGES)/$*:$(TAG) \
	    --build-arg VERSION=$(VERSION) --build-arg SOURCE_DATE_EPOCH=$(EPOCH) \
	    --build-arg REVISION=$(shell git rev-parse HEAD 2>/dev/null || echo unknown) \
	    --build-arg CREATED=$(shell date -u -d @$(EPOCH) +%FT%TZ) .
images: image-producer image-consumer image-api image-sites ## an image a program, and the sites'

up: ## the local stack in containers: Kafka, Postgres, sites, all programs
	IMAGES=$(IMAGES) TAG=$(TAG) deploy/local/run.sh
down: ## stop it, and remove all that it made
	IMAGES=$(IMAGES) TAG=$(TAG) deploy/local/cleanup.sh
logs: ## what its containers say
	$(COMPOSE) logs --follow

docker-install: images ## the images of the programs
docker-run-migration: images ## make the tables and topics of the local stack
	$(COMPOSE) run --rm migrate
docker-run-website-seeding: images ## put its sites into its database
	$(COMPOSE) run --rm consumer seed /etc/sitewatch/sites.conf
docker-run-monitor-producer: images ## check them, until Ctrl-C
	$(COMPOSE) up --no-log-prefix producer
docker-run-monitor-consumer: images ## store what is found, until Ctrl-C
	$(COMPOSE) up --no-log-prefix consumer
# DOCKER_ARGS is given to `docker run`, e.g. the certificates of a proxy that pip and maven go through.
CHECKS = docker run --rm $(CHECKS_RIGHTS) $(DOCKER_ARGS) $(IMAGES)/checks:$(TAG) -j$$(nproc)
docker-run-unit-tests: image-checks ## test-unit in a container
	$(CHECKS) test-unit
# The integration tests make network namespaces, and check a site over ::1.
CHECKS_RIGHTS =
docker-show-coverage: CHECKS_RIGHTS = --cap-add SYS_ADMIN --cap-add NET_ADMIN --sysctl net.ipv6.conf.all.disable_ipv6=0
docker-show-coverage: image-checks ## coverage in a container
	$(CHECKS) coverage
docker-run-code-checks: image-checks ## lint in a container
	$(CHECKS) lint

clean: ## remove everything that was built
	rm -rf build build-asan build-tsan build-fuzz build-lint build-clang build-coverage build-rows

help: ## this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/\1	\2/p' Makefile | while IFS='	' read -r target what; do \
	    printf '  %-28s %s\n' "$$target" "$$what"; done

.PHONY: all docs-options units stand everything objects build-rows fuzzers libraries deps demo test test-unit \
        test-integration test-deploy test-web screenshots test-cov check-asan check-tsan build-asan build-tsan build-fuzz fuzz \
        fault fault-mutants coverage show-coverage benches bench bench-probe bench-sink bench-queries scale scale-out soak lint $(LINTS) install \
        install-files uninstall deb deb-check sbom hooks tools schemathesis bench-api \
        local-install local-run-migration local-run-website-seeding local-run-monitor-producer \
        local-run-monitor-consumer local-run-unit-tests local-show-coverage \
        local-run-code-checks images up down logs docker-install docker-run-migration \
        docker-run-website-seeding docker-run-monitor-producer docker-run-monitor-consumer \
        docker-run-unit-tests docker-show-coverage docker-run-code-checks clean help FORCE
.SECONDARY:
.DELETE_ON_ERROR:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
