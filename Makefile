# Makefile -- build, check, demo. `make help` lists the targets.
# MODE=release (default) | asan | tsan | cover | plain (no sanitizer, built fast); each builds into build/MODE.

MODE ?= release
CC ?= cc
ifeq ($(origin CXX),default)
CXX := $(if $(findstring clang,$(CC)),clang++,g++)
endif
O := build/$(MODE)
PKGS := libmicrohttpd gnutls sqlite3 libpq jansson libsodium libconfuse libcrypto libseccomp re2 zlib libzstd libxxhash
CTL_PKGS := libcurl jansson libcrypto
TEST_PKGS := cmocka

PYTHON ?= /usr/bin/python3
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wvla \
	-Wwrite-strings -Wundef
WERROR ?= $(if $(CI),-Werror)
CFLAGS_release := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE -flto=auto
LDFLAGS_release := -pie -Wl,-z,relro,-z,now -flto=auto
CFLAGS_asan := -O1 -g -DREPORTD_SEAMS -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
LDFLAGS_asan := -fsanitize=address,undefined
CFLAGS_tsan := -O1 -g -DREPORTD_SEAMS -fsanitize=thread
LDFLAGS_tsan := -fsanitize=thread
CFLAGS_plain := -O0 -g -DREPORTD_SEAMS
CFLAGS_cover := -O0 -g -DREPORTD_SEAMS --coverage
LDFLAGS_cover := --coverage
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) libcurl 2>/dev/null)
PKG_LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
CTL_LIBS := $(shell pkg-config --libs $(CTL_PKGS) 2>/dev/null)
CURL_LIBS := $(shell pkg-config --libs libcurl 2>/dev/null)
TEST_LIBS := $(shell pkg-config --libs $(TEST_PKGS) 2>/dev/null)
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -Isrc -pthread $(WARN) $(WERROR) $(CFLAGS_$(MODE)) \
	$(PKG_CFLAGS) $(CFLAGS)
ALL_CXXFLAGS = -std=c++17 -Isrc -pthread $(filter-out -Wstrict-prototypes \
	-Wmissing-prototypes,$(WARN)) $(WERROR) $(CFLAGS_$(MODE)) $(CXXFLAGS)
ALL_LDFLAGS = -pthread $(LDFLAGS_$(MODE)) $(LDFLAGS)
LIBS = $(PKG_LIBS) -lstdc++ -lm
# What a command is echoed as: its step and its target, or in full with V=1.
say = @$(if $(V),,echo "  $(1)	$@";)

# Three programs: a main.c in each of three folders; what they share is in the library.
SRC := $(filter-out src/cli/main.c src/ctl/% src/demo/%,$(wildcard src/*/*.c))
CTL_OBJ := $(patsubst src/%.c,$(O)/obj/%.o,$(wildcard src/ctl/*.c))
DEMO_OBJ := $(patsubst src/%.c,$(O)/obj/%.o,$(wildcard src/demo/*.c)) $(O)/obj/demo/files.o
OBJ := $(SRC:src/%.c=$(O)/obj/%.o) $(patsubst src/%.cc,$(O)/obj/%.o,$(wildcard src/*/*.cc)) \
	$(O)/obj/http/console_files.o
LIB := $(O)/libreportd.a
UNIT := $(patsubst tests/unit/%.c,$(O)/tests/%,$(wildcard tests/unit/*_test.c)) \
	$(patsubst tests/contract/%.c,$(O)/tests/%,$(wildcard tests/contract/*_test.c))

.PHONY: all help deps build check unit e2e lint format demo run docs clean install uninstall deb
.DELETE_ON_ERROR:
.SECONDARY:

all: build

include tools/targets.mk

build: programs ## Build reportd, reportctl and reportd-demo into build/MODE (the default)

$(O)/obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(call say,CC) $(CC) $(ALL_CFLAGS) -include base/poison.h -MMD -MP -c $< -o $@

$(O)/obj/%.o: src/%.cc
	@mkdir -p $(@D)
	$(call say,CXX) $(CXX) $(ALL_CXXFLAGS) -MMD -MP -c $< -o $@

$(LIB): $(OBJ)
	@rm -f $@
	$(call say,AR) gcc-ar rcs $@ $^

include tools/embed.mk

$(O)/obj/http/common.o: src/http/openapi.json

include tests/fuzz/Makefile.inc

$(O)/reportd: $(O)/obj/cli/main.o $(LIB)
	$(call say,LD) $(CC) $(ALL_LDFLAGS) $^ -o $@ $(LIBS) $(CURL_LIBS)

# What tests/e2e preload into the programs: no sanitizer of its own.
$(O)/%.so: tests/e2e/%.c
	@mkdir -p $(@D)
	$(call say,CC) $(CC) -std=gnu11 $(WARN) $(WERROR) -O1 -fPIC -shared $< -o $@

$(O)/reportctl: $(CTL_OBJ) $(LIB)
	$(call say,LD) $(CC) $(ALL_LDFLAGS) $^ -o $@ $(CTL_LIBS)

$(O)/reportd-demo: $(DEMO_OBJ) $(LIB)
	$(call say,LD) $(CC) $(ALL_LDFLAGS) $^ -o $@ $(LIBS)

$(O)/tests/%: tests/unit/%.c $(LIB)
	@mkdir -p $(@D)
	$(call say,CC) $(CC) $(ALL_CFLAGS) -MMD -MP -Itests $< $(LIB) -o $@ $(ALL_LDFLAGS) $(LIBS) $(TEST_LIBS)

$(O)/tests/%: tests/contract/%.c $(LIB)
	@mkdir -p $(@D)
	$(call say,CC) $(CC) $(ALL_CFLAGS) -MMD -MP -Itests $< $(LIB) -o $@ $(ALL_LDFLAGS) $(LIBS) $(TEST_LIBS)

$(O)/bench/%: bench/%.c $(LIB)
	@mkdir -p $(@D)
	$(call say,CC) $(CC) $(ALL_CFLAGS) -MMD -MP $< $(LIB) -o $@ $(ALL_LDFLAGS) $(LIBS)

-include $(OBJ:.o=.d) $(CTL_OBJ:.o=.d) $(O)/obj/cli/main.d $(DEMO_OBJ:.o=.d) $(UNIT:=.d)
