# Two commands for a newcomer: make demo shows what Tanpu does, make check passes the tests. Both set up what they need.

TOOL = go tool -modfile=tools/go.mod

.NOTPARALLEL:
.PHONY: demo build check crash simulate format vet staticcheck arrows test interop vulnerabilities

# demo imports real trips into a database in a temporary folder and serves it; ARGS=--once ends after the audit.
demo:
	go run ./cmd/tanpu demo $(ARGS)

build:
	go build -o bin/tanpu ./cmd/tanpu

# check is what CI runs, and nothing else is.
check: format vet staticcheck arrows test interop vulnerabilities

# crash kills servers, and PostgreSQL, so many times on each engine and checks that nothing is lost or counted twice;
# ARGS="-seed 7" brings back what a failing run printed. make check has a few rounds of it.
ROUNDS = 500
crash:
	scripts/postgres run go test -run '^TestCrash$$' -v -count=1 -timeout 0 ./cmd/tanpu -args -rounds $(ROUNDS) $(ARGS)

# simulate runs the platform in worlds drawn from fresh seeds for some hours, in which servers die at every step, and holds
# each against a plain model; a failure prints its seed and the shortest way to it. make check has a thousand of them.
HOURS = 1
simulate: build
	bin/tanpu simulate --hours $(HOURS) $(ARGS)

format:
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt -w these:" $$unformatted; exit 1; }

vet:
	go vet ./...
	GOOS=js GOARCH=wasm go build ./proof # it must also run in a browser

staticcheck:
	$(TOOL) staticcheck ./...

# arrows comes before the other tests, because an import that points the wrong way is the first thing to know.
arrows:
	go test -count=1 .

# test runs everything under the race detector, on SQLite and on a throw-away PostgreSQL; seeds of fuzz tests included. What
# would take too long with it, because it is one thing after the other or because there is too much of it, runs without.
test:
	scripts/compiler
	CGO_ENABLED=1 scripts/postgres run --fast go test -race -p 3 ./... # one of them waits most of the time
	GOGC=800 scripts/postgres run --fast go test -count=1 ./flows/audit ./flows/restore ./flows/simulate
	GOGC=800 scripts/postgres run --fast go test -count=1 -run "KnownAnswers|Doubled|Faults" ./flows/importing ./flows/restate ./store

# interop runs what we wrote to a standard against what others wrote to it. What that needs stays out of our module.
interop:
	cd interop && go vet ./... && go test ./...

vulnerabilities:
	scripts/vulnerabilities
