package intake

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/store"
)

// Config is how a server takes claims in. Its zero value works.
type Config struct {
	Writers   int           // how many partitions are written at once; default 2 on SQLite, 3 on PostgreSQL
	Full      int           // a partition with so many claims waiting is written at once; default 500
	Most      int           // claims in one transaction; default 2,000
	Linger    time.Duration // how long a partition that is not full waits for more while others are busy; default 25 ms
	MaxClaims int           // claims taken and not yet answered; default 50,000
	MaxBytes  int64         // bytes of requests being read or answered; default 64 MiB
	Backfill  bool          // judge neither lateness nor the time from which a link is in force
	Clock     func() claim.Micros
	Log       *slog.Logger
	Observe   func(Written) // told of every batch, for metrics; must be quick
	Admit     Admit         // judges; default Judge.Admit. A simulation stands in between
}

// Admit judges claims of one partition as Judge.Admit does.
type Admit func(ctx context.Context, part int, claims []claim.Claim, clock claim.Micros) ([]claim.Verdict, error)

// Written is what is to be told of a batch: nothing personal.
type Written struct {
	Claims   int
	Verdicts []claim.Verdict // nil when it failed
	Took     time.Duration
	Err      error
}

func (c Config) withDefaults(db *store.DB) Config {
	if c.Writers == 0 {
		c.Writers = 3
		if db.Single() {
			c.Writers = 2 // one reads and judges while the other writes
		}
	}
	c.Full = orElse(c.Full, 500)
	c.Most = orElse(c.Most, 2000)
	c.Linger = orElse(c.Linger, 25*time.Millisecond)
	c.MaxClaims = orElse(c.MaxClaims, 50_000)
	c.MaxBytes = orElse(c.MaxBytes, 64<<20)
	if c.Clock == nil {
		c.Clock = func() claim.Micros { return time.Now().UnixMicro() }
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

func orElse[T comparable](v, other T) T {
	var zero T
	if v == zero {
		return other
	}
	return v
}

// A Server takes claims from any number of callers and writes them partition by partition, many in one
// transaction. Its memory is bounded by the budget: what does not fit is refused before it is taken.
type Server struct {
	Config
	Judge *Judge

	mu      sync.Mutex
	wake    *sync.Cond
	queues  []queue // by partition; guarded by mu
	waiting int     // claims in all queues; guarded by mu
	taken   int     // claims taken and not yet answered; guarded by mu
	bytes   int64   // bytes reserved; guarded by mu
	closed  bool    // guarded by mu
	writers sync.WaitGroup
	working context.Context // that of every transaction
	giveUp  func()          // ends it
}

// A queue holds what waits for one partition, in order of arrival.
type queue struct {
	parcels []parcel
	claims  int
	since   time.Time // when the oldest parcel came
	busy    bool      // a writer has the partition
}

// A parcel is the part of a request that goes to one partition.
type parcel struct {
	from  *request
	index []int // which of the request's claims
}

// A request waits until all of its parcels are written.
type request struct {
	claims   []claim.Claim
	verdicts []claim.Verdict
	open     int // parcels not yet written; guarded by the server's mu
	done     chan struct{}
}

// New starts the writers. Close ends them.
func New(db *store.DB, config Config) *Server {
	s := Stepped(db, config)
	for range s.Writers { // as the defaults have it
		s.writers.Go(s.write)
	}
	return s
}

// Stepped makes a server without writers: whoever calls Take and Write says what happens when, so that it can be
// simulated. Nothing has to be closed.
func Stepped(db *store.DB, config Config) *Server {
	config = config.withDefaults(db)
	s := &Server{Config: config, Judge: &Judge{DB: db, Backfill: config.Backfill}, queues: make([]queue, db.Parts)}
	if s.Admit == nil {
		s.Admit = s.Judge.Admit
	}
	s.wake = sync.NewCond(&s.mu)
	s.working, s.giveUp = context.WithCancel(context.Background())
	return s
}

// Take is Submit without waiting: answer returns the verdicts once there are all of them.
func (s *Server) Take(claims []claim.Claim) (answer func() ([]claim.Verdict, bool), err error) {
	r, err := s.take(claims)
	if err != nil {
		return nil, err
	}
	return func() ([]claim.Verdict, bool) {
		select {
		case <-r.done:
			return r.verdicts, true
		default:
			return nil, false
		}
	}, nil
}

// Write writes a batch of what waits for a partition, as a writer does; false where nothing waits.
func (s *Server) Write(part int) bool {
	s.mu.Lock()
	waits := s.queues[part].claims > 0
	var parcels []parcel
	if waits {
		parcels = s.fetch(part)
	}
	s.mu.Unlock()
	if waits {
		s.batch(part, parcels)
	}
	return waits
}

// Close takes no more claims, answers those that were taken, and ends. Once ctx is over it gives up those that are
// not yet written, as a database that does not answer could keep it for hours: their senders are told to try again.
func (s *Server) Close(ctx context.Context) {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.wake.Broadcast()
	defer context.AfterFunc(ctx, s.giveUp)()
	s.writers.Wait()
	s.giveUp()
}

// Reserve takes bytes from the budget before a request is read. When ok, release must be called once.
func (s *Server) Reserve(bytes int64) (release func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.bytes+bytes > s.MaxBytes {
		return nil, false
	}
	s.bytes += bytes
	return func() {
		s.mu.Lock()
		s.bytes -= bytes
		s.mu.Unlock()
	}, true
}

// Load says how much of the budget is in use.
func (s *Server) Load() (claims int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken, s.bytes
}

// Submit has claims judged and returns a verdict for each, in order; the reason is reason.Retry where
// the claim was not judged. The error's kind is fault.Busy when the budget has no room, and nothing was
// taken, and fault.Unavailable when none could be judged. If the caller goes away, the claims are judged
// all the same.
func (s *Server) Submit(ctx context.Context, claims []claim.Claim) ([]claim.Verdict, error) {
	if len(claims) == 0 {
		return nil, nil
	}
	r, err := s.take(claims)
	if err != nil {
		return nil, err
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for i := range r.verdicts {
		if r.verdicts[i].Reason != reason.Retry {
			return r.verdicts, nil
		}
	}
	return nil, fault.New(fault.Unavailable, "no claim could be judged; send them again")
}

// take puts a request's claims into the queues, all of them or none.
func (s *Server) take(claims []claim.Claim) (*request, error) {
	r := &request{claims: claims, verdicts: make([]claim.Verdict, len(claims)), done: make(chan struct{})}
	byPart := s.split(claims)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fault.New(fault.Unavailable, "the server is shutting down; nothing was taken")
	}
	if s.taken+len(claims) > s.MaxClaims {
		return nil, fault.New(fault.Busy, "too many claims at once; nothing was taken")
	}
	s.taken += len(claims)
	s.waiting += len(claims)
	now := time.Now()
	for part, index := range byPart {
		q := &s.queues[part]
		if len(index) == 0 {
			continue
		}
		if len(q.parcels) == 0 {
			q.since = now
		}
		q.parcels = append(q.parcels, parcel{r, index})
		q.claims += len(index)
		r.open++
	}
	s.wake.Broadcast()
	return r, nil
}

// split sorts the claims' places by partition, keeping their order.
func (s *Server) split(claims []claim.Claim) [][]int {
	byPart := make([][]int, len(s.queues))
	for i := range claims {
		part := s.Judge.DB.Route(claims[i].Sub)
		byPart[part] = append(byPart[part], i)
	}
	return byPart
}

// write is a writer: it takes a partition that is due, writes a batch, answers, and goes on.
func (s *Server) write() {
	for {
		part, parcels, ok := s.next()
		if !ok {
			return
		}
		s.batch(part, parcels)
	}
}

// next waits for a partition to be due and takes what waits for it. It returns false when the server
// has closed and nothing is left.
func (s *Server) next() (part int, parcels []parcel, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		part, wait := s.due(time.Now())
		if part >= 0 {
			return part, s.fetch(part), true
		}
		if s.closed && s.waiting == 0 {
			return 0, nil, false
		}
		if wait > 0 {
			timer := time.AfterFunc(wait, s.rouse)
			s.wake.Wait()
			timer.Stop()
		} else {
			s.wake.Wait()
		}
	}
}

// rouse wakes the writers. It waits for the lock, so that the writer whose time is over sleeps by then:
// a call that came too early would be lost, and its claims would lie there until the next came.
func (s *Server) rouse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake.Broadcast()
}

// due picks the partition to write next: of those that are full, or have waited long enough, the one
// that has waited longest. Otherwise it says how long until one is due, or 0 if none will be.
func (s *Server) due(now time.Time) (part int, wait time.Duration) {
	part, wait = -1, 0
	linger := s.linger()
	for i := range s.queues {
		q := &s.queues[i]
		if q.busy || q.claims == 0 {
			continue
		}
		left := linger - now.Sub(q.since)
		if q.claims < s.Full && left > 0 && !s.closed {
			if wait == 0 || left < wait {
				wait = left
			}
			continue
		}
		if part < 0 || q.since.Before(s.queues[part].since) {
			part = i
		}
	}
	return part, wait
}

// linger is how long a partition waits for more: not at all on a quiet server, longer the more is
// waiting, because a transaction costs the same for one claim as for many.
func (s *Server) linger() time.Duration {
	quiet := s.Full / 8
	if s.waiting <= quiet {
		return 0
	}
	return min(s.Linger, s.Linger*time.Duration(s.waiting)/time.Duration(4*s.Full))
}

// fetch takes up to Most claims from a partition's queue, in order of arrival.
func (s *Server) fetch(part int) []parcel {
	q := &s.queues[part]
	if p := &q.parcels[0]; len(p.index) > s.Most {
		q.parcels = slices.Insert(q.parcels, 1, parcel{p.from, p.index[s.Most:]})
		q.parcels[0].index = q.parcels[0].index[:s.Most]
		q.parcels[0].from.open++
	}
	n, claims := 0, 0
	for n < len(q.parcels) && claims+len(q.parcels[n].index) <= s.Most {
		claims += len(q.parcels[n].index)
		n++
	}
	parcels := slices.Clone(q.parcels[:n])
	clear(q.parcels[:n]) // or a quiet partition would keep the requests of its last busy hour in memory
	if q.parcels = q.parcels[n:]; len(q.parcels) == 0 {
		q.parcels = nil
	}
	q.claims -= claims
	q.busy = true
	q.since = time.Now()
	s.waiting -= claims
	return parcels
}

// batch writes parcels of one partition and answers for them.
func (s *Server) batch(part int, parcels []parcel) {
	var claims []claim.Claim
	for _, p := range parcels {
		for _, i := range p.index {
			claims = append(claims, p.from.claims[i])
		}
	}
	s.answer(part, parcels, s.verdicts(part, claims))
}

// mostBreaks is how often parts of one batch may break: enough to set a few claims of thousands apart, and an end where
// every claim breaks its batch.
const mostBreaks = 50

// verdicts has claims judged, in order; the reason is reason.Retry where one was not. If they break their batch, half as
// many are judged by themselves, and twice as many after each success. So a claim that breaks every batch it is in
// comes to stand alone and holds up nobody else's, for some 3 log n transactions. A database that does not answer is
// not asked again.
func (s *Server) verdicts(part int, claims []claim.Claim) []claim.Verdict {
	verdicts := make([]claim.Verdict, 0, len(claims))
	for size, breaks := len(claims), 0; len(verdicts) < len(claims); {
		left := claims[len(verdicts):]
		n := min(size, len(left))
		some, err := s.observed(part, left[:n])
		if err == nil {
			verdicts = append(verdicts, some...)
			size *= 2
			continue
		}
		if breaks++; breaks > mostBreaks || store.Outage(err) {
			return append(verdicts, retry(len(left))...)
		}
		if size = n / 2; size == 0 {
			verdicts = append(verdicts, retry(1)...)
			size = len(claims)
		}
	}
	return verdicts
}

func retry(n int) []claim.Verdict {
	return slices.Repeat([]claim.Verdict{{Reason: reason.Retry}}, n)
}

// observed is admit, and tells of it.
func (s *Server) observed(part int, claims []claim.Claim) ([]claim.Verdict, error) {
	began := time.Now()
	verdicts, err := s.admit(part, claims)
	if s.Observe != nil {
		s.Observe(Written{Claims: len(claims), Verdicts: verdicts, Took: time.Since(began), Err: err})
	}
	if err != nil {
		s.Log.Error("a batch failed", "part", part, "claims", len(claims), "err", err)
	}
	return verdicts, err
}

// admitWithin is when a database that does not answer is given up for this batch.
const admitWithin = time.Minute

// admit judges under a context of its own: claims that were taken are judged though their sender left.
// A panic, which means that our own arithmetic is broken, costs this batch and not the server.
func (s *Server) admit(part int, claims []claim.Claim) (verdicts []claim.Verdict, err error) {
	defer func() {
		if r := recover(); r != nil {
			verdicts, err = nil, fmt.Errorf("judging broke: %v\n%s", r, debug.Stack())
		}
	}()
	ctx, cancel := context.WithTimeout(s.working, admitWithin)
	defer cancel()
	return s.Admit(ctx, part, claims, s.Clock())
}

// answer hands out verdicts and lets go of the partition.
func (s *Server) answer(part int, parcels []parcel, verdicts []claim.Verdict) {
	n := 0
	for _, p := range parcels {
		for _, i := range p.index {
			p.from.verdicts[i] = verdicts[n]
			n++
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken -= n
	s.queues[part].busy = false
	for _, p := range parcels {
		if p.from.open--; p.from.open == 0 {
			close(p.from.done)
		}
	}
	if s.waiting > 0 || s.closed {
		s.wake.Broadcast()
	}
}
