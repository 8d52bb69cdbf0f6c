# SPDX-License-Identifier: LGPL-2.1-or-later
# The short names for what Meson and the scripts do. `make help` lists them.

BUILD ?= build
SANITIZE_BUILD ?= build-sanitize
JOBS ?= $(shell nproc)
export ANYKVM ?= $(abspath $(BUILD))/anykvm
# The system's Python, which has pytest from its package.
export PATH := /usr/bin:$(PATH)

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) -j $(JOBS) programs

everything: $(BUILD)/build.ninja
	@ninja -C $(BUILD) -j $(JOBS)

help:
	@echo 'make                builds $(BUILD)/anykvm (installing the packages it lacks)'
	@echo 'make install        installs what was built below PREFIX (/usr/local), or'
	@echo '                    below DESTDIR'
	@echo 'make run            boots a Debian kernel to a shell on this terminal'
	@echo 'make test           every test: unit, native comparison, fuzzer, KVM selftests,'
	@echo '                    QEMU, whole guests'
	@echo 'make test-unit, test-native, test-fuzz, test-api, test-exec, test-guests'
	@echo '                    one suite of them'
	@echo 'make test-sanitize  unit, native, fuzz and guests under the address and'
	@echo '                    undefined-behaviour sanitizers'
	@echo 'make bench          a table of anykvm beside QEMU TCG and the host itself'
	@echo 'make deps           installs the Debian packages that all of this needs'
	@echo 'make clean          removes what was built (downloaded guests stay cached)'

deps:
	@scripts/deps all

$(BUILD)/build.ninja:
	@scripts/deps build
	@meson setup $(BUILD) $(if $(PREFIX),--prefix '$(PREFIX)')

$(SANITIZE_BUILD)/build.ninja:
	@scripts/deps build
	@meson setup $(SANITIZE_BUILD) -Db_sanitize=address,undefined

install: all
	@meson install -C $(BUILD) --no-rebuild --quiet \
		$(if $(DESTDIR),--destdir '$(abspath $(DESTDIR))')

run: all
	@scripts/deps guests
	@scripts/run $(RUN_ARGS)

test: everything
	@scripts/deps all
	@tests/run $(SUITES)

test-unit test-native test-fuzz test-api test-exec test-guests: everything
	@scripts/deps all
	@tests/run $(@:test-%=%)

test-sanitize: $(SANITIZE_BUILD)/build.ninja
	@scripts/deps all
	@ninja -C $(SANITIZE_BUILD) -j $(JOBS)
	@BUILD=$(SANITIZE_BUILD) \
		LSAN_OPTIONS=suppressions=$(CURDIR)/tests/sanitize.supp:print_suppressions=0 \
		PYTEST_ADDOPTS='-k "not footprint"' tests/run unit native fuzz guests

bench: all
	@scripts/deps all
	@bench/run $(BENCH_ARGS)

clean:
	rm -rf $(BUILD) $(SANITIZE_BUILD)

.PHONY: all everything help deps install run test test-unit test-native test-fuzz test-api \
	test-exec test-guests test-sanitize bench clean
