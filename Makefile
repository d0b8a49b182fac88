# Two commands for a newcomer: make demo shows what Tanpu does, make check passes the tests. Both set up what they need.

TOOL = go tool -modfile=tools/go.mod

.NOTPARALLEL:
.PHONY: demo build check format vet staticcheck arrows test vulnerabilities

# demo imports real trips into a database in a temporary folder and serves it; ARGS=--once ends after the audit.
demo:
	go run ./cmd/tanpu demo $(ARGS)

build:
	go build -o bin/tanpu ./cmd/tanpu

# check is what CI runs, and nothing else is.
check: format vet staticcheck arrows test vulnerabilities

format:
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt -w these:" $$unformatted; exit 1; }

vet:
	go vet ./...

staticcheck:
	$(TOOL) staticcheck ./...

# arrows comes before the other tests, because an import that points the wrong way is the first thing to know.
arrows:
	go test -count=1 .

# test runs everything under the race detector, on SQLite and on a throw-away PostgreSQL; seeds of fuzz tests included.
test:
	scripts/compiler
	CGO_ENABLED=1 scripts/postgres run --fast go test -race ./...

vulnerabilities:
	scripts/vulnerabilities
