# xtcpd. Every goal installs what it needs and is missing (scripts/setup): `make run` and `make test` work on a bare
# Debian 12 that has Swift and make. XTCPD_BINARY, FUZZ_SECONDS, SCHEDULER_SECONDS, SOCKETS, ONLY, PARQUET_ROWS
# and PARQUET_CAPTURE may be set from outside.
SHELL := /bin/bash

RELEASE := .build/release/xtcpd
BED := .build/bed
CFLAGS := -std=gnu11 -O2 -Wall -Wextra -Werror
BED_TOOLS := $(BED)/population $(BED)/floor $(BED)/naive $(BED)/allocations.so $(BED)/namespaces \
	$(BED)/without-io-uring $(BED)/netlink-faults.so $(BED)/processes $(BED)/hangup-before-main.so $(BED)/under-filter
# The tests' alone: it needs librdkafka, which measuring does not.
TEST_TOOLS := $(BED_TOOLS) $(BED)/kafka-mock
PYTEST := .venv/bin/python -m pytest -c Tests/EndToEnd/pytest.ini Tests/EndToEnd

FUZZ_SECONDS ?= 300
SCHEDULER_SECONDS ?= 300
SOCKETS ?= 100000
ONLY ?=
PARQUET_ROWS ?= 1000000
PARQUET_CAPTURE ?=

.DEFAULT_GOAL := help
.PHONY: help run build test unit-test end-to-end-test soak lint bench bench-parquet fuzz sanitize clean

help:
	@echo "make run       build release and run examples/quickstart.yaml until Ctrl-C (needs root for other namespaces)"
	@echo "make test      swift test, then the end-to-end tests against the release binary (needs root)"
	@echo "make build     build release: $(RELEASE)"
	@echo "make lint      swift-format, shellcheck, yamllint, C warnings"
	@echo "make bench     xtcpd beside the kernel alone and ss, nine ways (SOCKETS=100000, ONLY=one,many); each sink"
	@echo "make bench-parquet  a million rows as Parquet, beside pyarrow; sums in three readers (PARQUET_ROWS=1000000)"
	@echo "make fuzz      fuzz the netlink walk and the configuration parser (FUZZ_SECONDS=300 each)"
	@echo "make sanitize  the unit tests under address sanitizer (release) and thread sanitizer"
	@echo "make soak      60 s of namespace churn at full rate; 20 pipelines, 3 threads, 5 min; 50 kills; servers that go;"
	@echo "               100,000 rows to each sink"

run:
	@scripts/setup run
	@swift build -c release --product xtcpd
	@exec $(RELEASE) run --config examples/quickstart.yaml

build:
	@scripts/setup build
	swift build -c release --product xtcpd

test: unit-test end-to-end-test

# Only what the tests need: the package of swift-protobuf would have its own protoc built as well, which takes minutes.
unit-test:
	@scripts/setup test
	swift build --product xtcpdPackageTests
	swift test --skip-build --no-parallel

end-to-end-test: build $(TEST_TOOLS)
	@scripts/setup test
	@scripts/end-to-end

soak: build $(TEST_TOOLS)
	@scripts/setup test
	CHURN_SECONDS=60 $(PYTEST)/test_churn.py
	SCHEDULER_SECONDS=$(SCHEDULER_SECONDS) $(PYTEST)/test_scheduler.py -k cadence
	XTCPD_KILLS=50 $(PYTEST)/test_spill.py -k every_kill
	OUTAGE_SECONDS=10 $(PYTEST) -k "test_sink_ and (go_lose or killed_loses)"
	OUTAGE_SECONDS=30 OUTAGE_RESTARTS=20 $(PYTEST)/test_outages.py -s
	STEADY_ROWS=100000 $(PYTEST) -k "every_row_arrives or every_record_arrives or sent_whole"

lint:
	@scripts/setup lint
	@scripts/lint

bench: build $(TEST_TOOLS)
	@scripts/setup test
	swift build -c release --product EncodeBenchmark
	python3 Benchmarks/bench.py --sockets $(SOCKETS) $(if $(ONLY),--only $(ONLY))
	$(if $(ONLY),,.venv/bin/python Benchmarks/delivery_bench.py)

bench-parquet: build $(BED)/population
	@scripts/setup test
	swift build -c release --product ParquetBenchmark
	.venv/bin/python Benchmarks/parquet_bench.py --rows $(PARQUET_ROWS) --capture "$(PARQUET_CAPTURE)"

fuzz:
	@scripts/setup fuzz
	Tests/Fuzz/run.sh NetlinkWalk $(FUZZ_SECONDS)
	Tests/Fuzz/run.sh Configuration $(FUZZ_SECONDS)

sanitize:
	@scripts/setup sanitize
	@scripts/sanitize

clean:
	rm -rf .build .build-* .venv

# The C tools of the test bed. They are compiled here and not by SwiftPM: the product does not need them.
$(BED)/population: Benchmarks/population.c Benchmarks/population-sockets.c Benchmarks/population.h \
	Benchmarks/netns-directory.h
$(BED)/floor: Benchmarks/floor.c Benchmarks/diag-reader.c Benchmarks/diag-reader.h
$(BED)/naive: Benchmarks/naive.c Benchmarks/diag-reader.c Benchmarks/diag-reader.h
$(BED)/namespaces: Tests/EndToEnd/tools/namespaces.c Benchmarks/netns-directory.h
$(BED)/processes: Tests/EndToEnd/tools/processes.c
$(BED)/without-io-uring: Tests/EndToEnd/tools/without-io-uring.c
$(BED)/under-filter: Tests/EndToEnd/tools/under-filter.c
$(BED)/allocations.so: Benchmarks/allocations.c
$(BED)/netlink-faults.so: Tests/EndToEnd/tools/netlink-faults.c
$(BED)/hangup-before-main.so: Tests/EndToEnd/tools/hangup-before-main.c

$(BED)/kafka-mock: Tests/EndToEnd/tools/kafka-mock.c | $(BED)
	@scripts/setup test
	gcc $(CFLAGS) -o $@ $< -lrdkafka

$(BED)/%.so: | $(BED)
	gcc $(CFLAGS) -shared -fPIC -o $@ $(filter %.c,$^)

$(BED)/%: | $(BED)
	gcc $(CFLAGS) -o $@ $(filter %.c,$^)

$(BED):
	@scripts/setup bench
	@mkdir -p $@
