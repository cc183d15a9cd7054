# SPDX-License-Identifier: MIT
#
# Shortcuts for Meson. `make help` lists them.

BUILD ?= build
PREFIX ?= /usr/local
SONG ?= examples/audio_example.mp3
FUZZ_SECONDS ?= 60
# Arguments for make test and the sanitizers, for example --suite unit
TEST_ARGS ?=

# Not parallel, because packages must be installed before anything is built.
.NOTPARALLEL:
.PHONY: help all song check test soak check-kernels check-page check-options check-arm64 check-image check-clients bench fuzz asan ubsan tsan deb abi format lint install clean \
	build-deps test-deps page-deps fuzz-deps arm64-deps

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

all: $(BUILD)/build.ninja ## build
	meson compile -C $(BUILD)

song: build-deps all ## install what is needed, build, separate the bundled song into separated/
	$(BUILD)/spleeterd separate $(SONG) -o separated

check: all ## the tests of a minute, with nothing but what building needs
	tests/run.py $(BUILD) --suite unit --suite kernels --suite fuzz --suite essentials --suite structure $(TEST_ARGS)

test: test-deps all ## install what is needed, build, run all tests
	tests/run.py $(BUILD) $(TEST_ARGS)

soak: test-deps all ## the service's tests in their long form: kills, slow clients, large uploads (half an hour)
	SPLEETERD_SOAK=1 tests/run.py $(BUILD) --timeout-multiplier 4 --suite service $(TEST_ARGS)

check-kernels: all ## test every kernel against its reference
	tests/run.py $(BUILD) --suite kernels

check-page: page-deps ## bundle the page's sources into web/dist, build, and run the page's quick tests in Chromium
	rm -rf $(BUILD)/page/src
	cp -r web/src web/build.mjs web/tsconfig.json $(BUILD)/page
	cd $(BUILD)/page && node build.mjs "$(CURDIR)/web/dist"
	$(MAKE) all
	tests/run.py $(BUILD) page_build page_page $(TEST_ARGS)

check-options: build-deps ## build with each combination of the options service, postgres and tests
	tests/build_options.sh build-options

check-arm64: arm64-deps all ## install what is needed (Debian), build for arm64, test under emulation
	tests/arm64/check.sh $(BUILD) build-arm64

check-image: test-deps ## carry out every step of the Dockerfile in roots made by debootstrap, and use what comes out (root rights)
	SPLEETERD_IMAGE=whole pytest-3 -q -rP -p no:cacheprovider tests/deploy/test_image.py

check-clients: test-deps all ## install what is needed but Java, generate clients from the API's description, use them
	tests/service/install.sh $(BUILD) generators
	tests/run.py $(BUILD) service_generated_clients

bench: all ## measure speed
	meson test -C $(BUILD) --benchmark --verbose

fuzz: fuzz-deps build-fuzz/build.ninja ## install what is needed, fuzz every parser for FUZZ_SECONDS (60), with clang and sanitizers
	meson compile -C build-fuzz
	set -e; for name in $(notdir $(wildcard fuzz/corpus/*)); do \
	    mkdir -p build-fuzz/found/$$name; \
	    build-fuzz/fuzz/fuzz_$$name -max_total_time=$(FUZZ_SECONDS) build-fuzz/found/$$name fuzz/corpus/$$name; \
	done

asan: build-asan/build.ninja ## all tests with AddressSanitizer
	tests/run.py build-asan --timeout-multiplier 10 $(TEST_ARGS)

ubsan: build-ubsan/build.ninja ## all tests with UndefinedBehaviorSanitizer
	tests/run.py build-ubsan --timeout-multiplier 10 $(TEST_ARGS)

tsan: build-tsan/build.ninja ## all tests with ThreadSanitizer
	tests/run.py build-tsan --timeout-multiplier 10 $(TEST_ARGS)

deb: ## install what is needed (Debian), build Debian packages into dist/
	tools/install-deps.sh deb
	tools/build-deb.sh dist

abi: all ## commit to the present ABI of libspleeter, after an increase of SPL_API_VERSION
	tools/abi.sh write $(BUILD)

format: ## format the C sources
	git ls-files '*.c' '*.h' | xargs clang-format -i

lint: all ## check the C sources with clang-tidy
	tools/lint.py $(BUILD)

install: all ## install below PREFIX (/usr/local)
	meson install -C $(BUILD)

clean: ## remove what was built
	rm -rf $(BUILD) build-*

build-deps:
	tools/install-deps.sh build

test-deps:
	tools/install-deps.sh test
	mkdir -p $(BUILD)
	tests/service/install.sh $(BUILD)
	tests/page/install.sh $(BUILD)

page-deps:
	mkdir -p $(BUILD)
	tests/page/install.sh $(BUILD)

fuzz-deps:
	tools/install-deps.sh fuzz

arm64-deps:
	tools/install-deps.sh arm64

$(BUILD)/build.ninja:
	meson setup $(BUILD) --prefix="$$(realpath -m '$(PREFIX)')"

build-asan/build.ninja: sanitizer = address
build-ubsan/build.ninja: sanitizer = undefined
build-tsan/build.ninja: sanitizer = thread
build-fuzz/build.ninja: sanitizer = address,undefined -Dfuzzing=true
build-fuzz/build.ninja: export CC = clang
build-%/build.ninja:
	meson setup $(@D) -Db_sanitize=$(sanitizer) -Db_lundef=false
