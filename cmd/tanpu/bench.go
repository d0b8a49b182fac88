package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tanpu/tanpu/api"
	"github.com/tanpu/tanpu/flows/link"
	client "github.com/tanpu/tanpu/partner"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/store"
)

// A benchmark measures intake as partners see it: a server of its own process, real requests over
// loopback, durable commits, on a machine that the load generator shares.
type benchmark struct {
	url      string
	claims   int
	accounts int
	clients  int
	seed     uint64
	profile  string
	unsealed bool // leave out the log
	sign     bool // as a partner in production, instead of by API key
	quick    bool // leave out the ceiling and the runs at half load and at rest
	say      func(format string, args ...any)

	subs    []string
	key     string
	signing ed25519.PrivateKey // where requests are signed
	keyFile string             // of the log
	base    string             // the server's address
}

// A Bench is what was measured.
type Bench struct {
	Engine      string  `json:"engine"`
	Claims      int     `json:"claims"`
	Accounts    int     `json:"accounts"`
	Clients     int     `json:"clients"`
	Seconds     float64 `json:"seconds"`
	PerSecond   float64 `json:"claims_per_second"`
	Ceiling     float64 `json:"ceiling_per_second,omitempty"` // the engine's own bulk load of the same rows
	Ratio       float64 `json:"ratio,omitempty"`
	P50         float64 `json:"p50_ms"` // of requests of 100 to 1,000 claims, at full load
	P99         float64 `json:"p99_ms"`
	HalfP50     float64 `json:"half_p50_ms,omitempty"` // at half of that load
	HalfP99     float64 `json:"half_p99_ms,omitempty"`
	IdleP50     float64 `json:"idle_p50_ms,omitempty"` // one claim on an idle server
	IdleP99     float64 `json:"idle_p99_ms,omitempty"`
	ProvableP50 float64 `json:"provable_p50_ms,omitempty"` // from a batch's instant to a published head over it
	ProvableP95 float64 `json:"provable_p95_ms,omitempty"`
	Bytes       float64 `json:"bytes_per_claim"`
	ServerCPU   float64 `json:"server_cpu_seconds"` // of the whole run, the database's apart
	ClientCPU   float64 `json:"generator_cpu_seconds"`
	OtherCPU    float64 `json:"other_cpu_seconds,omitempty"` // of everything else on the machine while at full load: PostgreSQL, where it runs here
	Processors  int     `json:"processors"`
	Verdicts    counts  `json:"verdicts"`
}

type counts map[string]int

// runBench carries out “tanpu bench intake”.
func runBench(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 || args[0] != "intake" {
		fmt.Fprintln(stderr, "usage: tanpu bench intake --db URL [--claims N] [--accounts M] [--json]")
		return 2
	}
	flags := newFlags("bench intake", "--db URL [--claims N] [--accounts M] [--json]", stderr)
	b := &benchmark{}
	flags.StringVar(&b.url, "db", "", "a database that is empty, or does not exist yet")
	flags.IntVar(&b.claims, "claims", 200_000, "claims sent at full load")
	flags.IntVar(&b.accounts, "accounts", 100_000, "members")
	flags.IntVar(&b.clients, "clients", 0, "requests at once; 0 for what suits the engine: 32 on PostgreSQL, 10 on SQLite")
	flags.Uint64Var(&b.seed, "seed", 1, "of what is reported")
	flags.BoolVar(&b.quick, "quick", false, "measure full load only")
	flags.BoolVar(&b.unsealed, "no-seal", false, "measure without the log, to see what sealing costs")
	flags.BoolVar(&b.sign, "sign", false, "sign the requests, to see what that costs; the load generator signs on the same machine")
	flags.StringVar(&b.profile, "cpuprofile", "", "write the server's CPU profile to this file")
	asJSON := flags.Bool("json", false, "print the figures as JSON")
	if err := parse(flags, args[1:], "db"); err != nil {
		return status(err, stderr)
	}
	if b.claims < 1 || b.accounts < 1 || b.clients < 0 {
		fmt.Fprintln(stderr, "--claims and --accounts are at least 1, and --clients is not negative")
		return 2
	}
	b.say = func(format string, args ...any) { fmt.Fprintf(stderr, format+"\n", args...) }
	result, err := b.run(context.Background())
	if b.keyFile != "" {
		os.RemoveAll(filepath.Dir(b.keyFile))
	}
	if err != nil {
		return status(err, stderr)
	}
	if *asJSON {
		return status(json.NewEncoder(stdout).Encode(result), stderr)
	}
	result.print(stdout)
	return 0
}

func (r *Bench) print(w io.Writer) {
	fmt.Fprintf(w, "%s, %d processors: %d claims of %d members by %d clients in %.1f s\n", r.Engine, r.Processors, r.Claims, r.Accounts, r.Clients, r.Seconds)
	fmt.Fprintf(w, "  %.0f claims/s; requests of 100 to 1,000 claims: p50 %.0f ms, p99 %.0f ms\n", r.PerSecond, r.P50, r.P99)
	if r.Ceiling > 0 { // or only full load was measured
		fmt.Fprintf(w, "  ceiling %.0f claims/s (the engine's own bulk load of the same rows); ratio %.2f\n", r.Ceiling, r.Ratio)
		fmt.Fprintf(w, "  requests at half load: p50 %.0f ms, p99 %.0f ms\n", r.HalfP50, r.HalfP99)
		fmt.Fprintf(w, "  one claim on an idle server: p50 %.1f ms, p99 %.1f ms\n", r.IdleP50, r.IdleP99)
	}
	fmt.Fprintf(w, "  provable after p50 %.0f ms, p95 %.0f ms\n", r.ProvableP50, r.ProvableP95)
	fmt.Fprintf(w, "  %.0f bytes on disk a claim; CPU: server %.1f s in all, load generator %.1f s at full load", r.Bytes, r.ServerCPU, r.ClientCPU)
	if r.OtherCPU != 0 {
		fmt.Fprintf(w, ", rest of the machine %.1f s", r.OtherCPU)
	}
	fmt.Fprintln(w)
	fmt.Fprintf(w, "  verdicts: %v\n", r.Verdicts)
}

func (b *benchmark) run(ctx context.Context) (*Bench, error) {
	before, err := b.prepare(ctx)
	if err != nil {
		return nil, err
	}
	stop, err := b.serve(ctx)
	if err != nil {
		return nil, err
	}
	b.say("sending %d claims", b.claims)
	seen := watch(ctx, b.base)
	defer seen.stop()
	own, busy := cpu(), machine()
	full := b.load(ctx, b.claims, 0)
	own, busy = cpu()-own, machine()-busy
	if full.err != nil {
		stop()
		return nil, full.err
	}
	result := &Bench{
		Claims: b.claims, Accounts: b.accounts, Clients: b.clients, Processors: runtime.NumCPU(), Verdicts: full.verdicts,
		Seconds: full.took.Seconds(), PerSecond: float64(b.claims) / full.took.Seconds(),
		P50: full.percentile(50), P99: full.percentile(99), ClientCPU: own.Seconds(),
	}
	if !b.quick {
		b.say("%.0f claims/s; at half load", result.PerSecond)
		half := b.load(ctx, int(result.PerSecond*10), result.PerSecond/2)
		b.say("one claim at a time")
		idle := b.alone(ctx, 500)
		if err := errors.Join(half.err, idle.err); err != nil {
			stop()
			return nil, err
		}
		result.HalfP50, result.HalfP99 = half.percentile(50), half.percentile(99)
		result.IdleP50, result.IdleP99 = idle.percentile(50), idle.percentile(99)
	}
	seen.stop()
	served, err := stop()
	if err != nil {
		return nil, err
	}
	result.ServerCPU = served.Seconds()
	if b.quick && busy > 0 {
		result.OtherCPU = (busy - own - served).Seconds()
	}
	return result, b.measureStore(ctx, result, before, seen)
}

// measureStore weighs what was written and has the engine write it once more by itself.
func (b *benchmark) measureStore(ctx context.Context, result *Bench, before int64, seen *watcher) error {
	db, err := store.Open(ctx, b.url)
	if err != nil {
		return err
	}
	defer db.Close()
	result.Engine = db.Engine()
	after, err := db.Size(ctx)
	if err != nil {
		return err
	}
	rows, err := db.ClaimCount(ctx)
	if err != nil {
		return err
	}
	result.Bytes = float64(after-before) / float64(rows)
	if result.ProvableP50, result.ProvableP95, err = seen.provable(ctx, db); err != nil {
		return err
	}
	if b.quick {
		return nil
	}
	b.say("the engine's own bulk load of %d claims and what goes with them", rows)
	took, err := db.Ceiling(ctx)
	if err != nil {
		return err
	}
	result.Ceiling = float64(rows) / took.Seconds()
	result.Ratio = result.PerSecond / result.Ceiling
	return nil
}

// prepare makes the database, publishes the demo programme, enrols the members, and makes a key. It
// returns the size of the database before any claim.
func (b *benchmark) prepare(ctx context.Context) (int64, error) {
	db, err := store.Create(ctx, b.url, store.DefaultParts)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	if n, err := db.Rulebook(ctx); err != nil || n > 0 {
		return 0, errors.Join(err, errors.New("the database is not empty; name one that is"))
	}
	book, err := publishDemo(ctx, db)
	if err != nil {
		return 0, err
	}
	if b.keyFile, err = tempKey(); err != nil {
		return 0, err
	}
	if err := beginLog(ctx, db, b.url, b.keyFile, "", io.Discard); err != nil {
		return 0, err
	}
	b.say("enrolling %d members", b.accounts)
	since := time.Now().AddDate(0, -2, 0) // acts of the last weeks are to count
	if b.subs, err = link.Enrol(ctx, db, book, demoProgramme, demoPartner, b.accounts, since); err != nil {
		return 0, err
	}
	if err := b.makeKey(ctx, db); err != nil {
		return 0, err
	}
	// By default as many as are answered within a second where the machine is not disturbed: more are faster, and wait longer.
	switch {
	case b.clients > 0:
	case db.Single():
		b.clients = 10
	default:
		b.clients = 32
	}
	return db.Size(ctx)
}

// makeKey makes what the load generator shows of whom it is.
func (b *benchmark) makeKey(ctx context.Context, db *store.DB) error {
	now := time.Now().UnixMicro()
	if b.sign {
		public, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			return err
		}
		b.signing = private
		return db.AddPartnerKey(ctx, store.PartnerKey{Partner: demoPartner, Public: public, Created: now})
	}
	b.key = api.NewKey()
	return db.AddKey(ctx, store.Key{Hash: store.HashKey(b.key), Role: api.Partner, Partner: demoPartner, Created: now})
}

// tempKey names a file for a log's key in a folder of its own.
func tempKey() (string, error) {
	folder, err := os.MkdirTemp("", "tanpu-bench-")
	return filepath.Join(folder, "log-key"), err
}

// serve starts a server as a process of its own. stop ends it and returns the CPU time that it took.
func (b *benchmark) serve(ctx context.Context) (stop func() (time.Duration, error), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	server := exec.CommandContext(ctx, self, "serve", "--sandbox", "--db", b.url, "--listen", "127.0.0.1:0", "--log-key", b.keyFile, "--cpuprofile", b.profile)
	if b.unsealed {
		server.Args = append(server.Args, "--no-seal")
	}
	out, err := server.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := server.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for b.base == "" && lines.Scan() {
		var entry struct{ Msg, At string }
		if json.Unmarshal(lines.Bytes(), &entry) == nil && entry.Msg == "answering" {
			b.base = "http://" + entry.At
		} else {
			b.say("%s", lines.Text())
		}
	}
	if b.base == "" {
		return nil, errors.Join(server.Wait(), errors.New("the server did not start"))
	}
	go func() {
		for lines.Scan() {
			if !bytes.Contains(lines.Bytes(), []byte(`"level":"INFO"`)) {
				b.say("server: %s", lines.Text())
			}
		}
	}()
	return func() (time.Duration, error) {
		server.Process.Signal(syscall.SIGTERM)
		err := server.Wait()
		state := server.ProcessState
		return state.UserTime() + state.SystemTime(), err
	}, nil
}

// measured is what a load came to.
type measured struct {
	took      time.Duration
	latencies []time.Duration
	verdicts  counts
	err       error
}

func (m *measured) percentile(p int) float64 {
	if len(m.latencies) == 0 {
		return 0
	}
	slices.Sort(m.latencies)
	return float64(m.latencies[(len(m.latencies)-1)*p/100].Microseconds()) / 1000
}

// load sends n claims. At a rate of 0 every client sends its next request as soon as it can; otherwise
// requests are sent when they are due at so many claims a second, and late answers count from then.
func (b *benchmark) load(ctx context.Context, n int, rate float64) *measured {
	total := &measured{verdicts: counts{}}
	var mu sync.Mutex // guards total
	var sent atomic.Int64
	var clients sync.WaitGroup
	began := time.Now()
	for c := range b.clients {
		clients.Go(func() {
			g := newRider(b, uint64(c))
			own := b.drive(ctx, g, n, rate, began, &sent)
			mu.Lock()
			defer mu.Unlock()
			total.latencies = append(total.latencies, own.latencies...)
			for reason, k := range own.verdicts {
				total.verdicts[reason] += k
			}
			total.err = errors.Join(total.err, own.err)
		})
	}
	clients.Wait()
	total.took = time.Since(began)
	return total
}

func (b *benchmark) drive(ctx context.Context, g *rider, n int, rate float64, began time.Time, sent *atomic.Int64) *measured {
	m := &measured{verdicts: counts{}}
	for {
		size := 100 + g.rand.IntN(901)
		at := sent.Add(int64(size)) - int64(size)
		if at >= int64(n) {
			return m
		}
		size = min(size, n-int(at))
		body := g.request(size)
		due := time.Now()
		if rate > 0 {
			due = began.Add(time.Duration(float64(at) / rate * float64(time.Second)))
			time.Sleep(time.Until(due))
		}
		if m.err = b.post(ctx, g, body, m.verdicts); m.err != nil {
			return m
		}
		m.latencies = append(m.latencies, time.Since(due))
	}
}

// alone sends n claims one by one.
func (b *benchmark) alone(ctx context.Context, n int) *measured {
	g := newRider(b, 1<<32)
	m := &measured{verdicts: counts{}}
	for range n {
		body := g.request(1)
		began := time.Now()
		if m.err = b.post(ctx, g, body, m.verdicts); m.err != nil {
			return m
		}
		m.latencies = append(m.latencies, time.Since(began))
		time.Sleep(2 * time.Millisecond)
	}
	return m
}

// post sends a request until it is taken, and counts the verdicts.
func (b *benchmark) post(ctx context.Context, g *rider, body []byte, verdicts counts) error {
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, b.base+"/v1/claims", bytes.NewReader(body))
		if err != nil {
			return err
		}
		if b.sign {
			client.SignClaims(request, b.signing, g.claims, client.NewSalt(), time.Now())
		} else {
			request.Header.Set("Authorization", "Bearer "+b.key)
		}
		request.Header.Set("Content-Type", "application/cloudevents-batch+json")
		response, err := g.client.Do(request)
		if err != nil {
			return err
		}
		g.answer.Reset()
		_, err = g.answer.ReadFrom(response.Body)
		response.Body.Close()
		if err != nil {
			return err
		}
		switch response.StatusCode {
		case http.StatusOK:
			countReasons(g.answer.Bytes(), verdicts)
			return nil
		case http.StatusTooManyRequests:
			verdicts["429"]++
			seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
			if err != nil {
				return fmt.Errorf("a 429 that does not say when to try again: %w", err)
			}
			time.Sleep(time.Duration(seconds) * time.Second)
		default:
			return fmt.Errorf("%s: %s", response.Status, g.answer.Bytes())
		}
	}
}

// countReasons counts the verdicts' reasons in an answer without decoding it, so that the generator
// takes as little as it can of the machine that it measures.
func countReasons(answer []byte, verdicts counts) {
	const mark = `"reason":"`
	for {
		i := bytes.Index(answer, []byte(mark))
		if i < 0 {
			return
		}
		answer = answer[i+len(mark):]
		end := bytes.IndexByte(answer, '"')
		verdicts[string(answer[:end])]++
	}
}

// A rider makes up reports of rides. Of every hundred three are sent again, and five lie within the time
// of an earlier ride of the same member.
type rider struct {
	*benchmark
	rand   *rand.Rand
	client *http.Client
	id     uint64
	now    time.Time
	past   []ride        // recent rides, whose request was answered
	fresh  []ride        // of the request being made
	claims []claim.Claim // those of the request being made, where it is signed
	body   []byte
	answer bytes.Buffer
}

type ride struct {
	id      uint64
	sub     string
	start   time.Time
	metres  int
	seconds int
}

func newRider(b *benchmark, n uint64) *rider {
	return &rider{
		benchmark: b, rand: rand.New(rand.NewPCG(b.seed, n)), id: n << 32,
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1, DisableCompression: true}},
		now:    time.Now().Add(-time.Hour).Truncate(time.Second),
	}
}

// request makes the body of a request.
func (g *rider) request(n int) []byte {
	g.past = append(g.past[max(0, len(g.past)-4096):], g.fresh...)
	g.fresh = g.fresh[:0]
	g.claims = g.claims[:0]
	g.body = append(g.body[:0], '[')
	for i := range n {
		if i > 0 {
			g.body = append(g.body, ',')
		}
		r := g.next()
		g.fresh = append(g.fresh, r)
		g.body = r.append(g.body)
		if g.sign {
			g.claims = append(g.claims, r.claim())
		}
	}
	g.body = append(g.body, ']')
	return g.body
}

func (g *rider) next() ride {
	kind := g.rand.IntN(100)
	if kind < 8 && len(g.past) > 0 {
		r := g.past[g.rand.IntN(len(g.past))]
		if kind >= 3 {
			g.id++
			r.id, r.start = g.id, r.start.Add(2*time.Minute)
		}
		return r
	}
	g.id++
	metres := 400 + g.rand.IntN(6000)
	return ride{
		id: g.id, sub: g.subs[g.rand.IntN(len(g.subs))],
		start:  g.now.Add(-time.Duration(g.rand.IntN(24*24*3600)) * time.Second),
		metres: metres, seconds: 300 + metres*36/100, // 10 km/h
	}
}

// claim is what the ride's event says.
func (r *ride) claim() claim.Claim {
	return claim.Claim{
		Partner: demoPartner, ID: "ride-" + strconv.FormatUint(r.id, 16), Sub: r.sub, Scenario: "shared-bike",
		Start: r.start.UnixMicro(), End: r.start.Add(time.Duration(r.seconds) * time.Second).UnixMicro(),
		Quantities: []claim.Quantity{{Name: "distance", Text: strconv.Itoa(r.metres) + " m"}}, Evidence: "system",
	}
}

func (r *ride) append(b []byte) []byte {
	b = append(b, `{"specversion":"1.0","type":"tanpu.claim.v1","source":"`+demoPartner+`","id":"ride-`...)
	b = strconv.AppendUint(b, r.id, 16)
	b = append(append(b, `","subject":"`...), r.sub...)
	b = append(b, `","data":{"scenario":"shared-bike","start":"`...)
	b = r.start.UTC().AppendFormat(b, time.RFC3339)
	b = append(b, `","end":"`...)
	b = r.start.Add(time.Duration(r.seconds)*time.Second).UTC().AppendFormat(b, time.RFC3339)
	b = append(b, `","quantities":{"distance":"`...)
	b = strconv.AppendInt(b, int64(r.metres), 10)
	return append(b, ` m"},"evidence":"system"}}`...)
}

// machine is the processor time that everything on this machine has taken, where the system tells (Linux).
func machine() time.Duration {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	var user, nice, system, idle, wait, irq, softirq int64
	if _, err := fmt.Sscanf(string(text), "cpu %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &wait, &irq, &softirq); err != nil {
		return 0
	}
	return time.Duration(user+nice+system+irq+softirq) * time.Second / 100
}

// cpu is the processor time that this process has taken.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
