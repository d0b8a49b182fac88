package simulate

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tanpu/tanpu/flows/correct"
	"github.com/tanpu/tanpu/flows/intake"
	"github.com/tanpu/tanpu/flows/seal"
	"github.com/tanpu/tanpu/flows/testimony"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/store"
)

// A world is one database, the servers that share it, the partners who report to them, and the model of it all. One
// thing happens at a time.
type world struct {
	ctx     context.Context
	dir     string
	file    string // the database
	lines   *lines // to it
	mutant  *Mutant
	now     int64         // what time it is, µs
	random  *rand.ChaCha8 // what keys and numbers are made of
	draw    *rand.Rand    // what the step at hand draws from
	servers [2]*server    // nil while dead
	faulty  *Step         // whose fault is to fall on the server that acts first
	acting  *server       // a server in the middle of something; nobody else is it meanwhile
	model   *model
	cover   *Coverage
	act     string // the action at hand
	trace   hash.Hash
	failure error

	partners map[string]*partner
	net      []*message // on their way
	next     int        // number of the next claim
	imports  [][]claim.Claim
	grants   []*grant
	done     []*correction
	ordered  *ordering          // a restatement on its way; nil for none
	last     *ordering          // the last one that was carried out
	drafts   int                // how many were tried
	restored bool               // claims were lost with a database
	erased   int                // members
	adopted  map[claim.Ref]bool // batches that are corrections, by their reference without an ordinal
	witness  *watcher
	log      keyring
	sealed   [parts]int64 // of each partition the last batch that must be under a published head
	receipts [][]byte
	texts    [][]byte        // of all documents that were published since
	terms    map[int64]terms // by rulebook

	sealedBook int64 // the last rulebook that must be under a published head
	backup     *backup
	keys       map[string]int // the number of each partner's key in force
}

// A yard is where one world after another is kept.
type yard struct {
	dir   string
	lines *lines
}

func newYard() (*yard, error) {
	y := new(yard)
	return y, y.renew()
}

// renew leaves what is there.
func (y *yard) renew() (err error) {
	y.close()
	y.lines = &lines{idle: map[string][]*line{}}
	y.dir, err = os.MkdirTemp(folder(), "tanpu-simulate-")
	return err
}

func (y *yard) close() {
	if y.lines != nil {
		y.lines.close()
		os.RemoveAll(y.dir)
	}
}

// newWorld copies the template.
func newWorld(y *yard, seed uint64, mutant *Mutant) (*world, error) {
	t, err := theTemplate()
	if err != nil {
		return nil, err
	}
	var key [32]byte
	copy(key[:], fmt.Sprintf("world %d", seed))
	w := &world{ctx: context.Background(), dir: y.dir, lines: y.lines, mutant: mutant, now: beginning.UnixMicro(), random: rand.NewChaCha8(key), model: newModel(parts),
		cover: NewCoverage(), trace: sha256.New(), partners: map[string]*partner{}, adopted: map[claim.Ref]bool{}, keys: map[string]int{}, terms: map[int64]terms{}}
	if w.log, err = newKeyring(); err != nil {
		return nil, err
	}
	if w.witness, err = newWatcher(w); err != nil {
		return nil, err
	}
	for _, name := range partners {
		w.partners[name] = &partner{name: name}
	}
	w.model.terms = firstTerms
	w.model.terms.Rulebook = t.rulebook
	w.terms[t.rulebook] = w.model.terms
	for _, c := range t.consents {
		l := w.model.join(c.Consent, c.sub, c.account)
		for _, o := range c.Objects {
			l.account.objects[o] = 0
		}
	}
	w.file = filepath.Join(y.dir, "world.db")
	if err := w.lines.put(w.file, t.database, nil); err != nil {
		return nil, err
	}
	_, err = newSigner(y.dir)
	return w, err
}

// fail notes what is wrong. Only the first thing counts.
func (w *world) fail(what, format string, args ...any) {
	if w.failure == nil {
		w.failure = &Failure{what, fmt.Sprintf(format, args...)}
	}
}

// A Failure is what does not hold.
type Failure struct{ What, Text string }

func (f *Failure) Error() string { return f.What + ": " + f.Text }

// note adds to the trace.
func (w *world) note(format string, args ...any) { fmt.Fprintf(w.trace, format+"\n", args...) }

// step lets one step of a script happen.
func (w *world) step(s *Step) {
	w.now += s.Pause.Microseconds()
	w.draw, w.act = rand.New(rand.NewPCG(s.Seed, 2)), s.Act
	w.note("%v", s)
	w.cover.Actions[s.Act]++
	w.faulty = s
	actionOf(s.Act).do(w)
	w.faulty = nil
	w.recover()
}

// recover lets all go well again after a step, and buries servers that died in it.
func (w *world) recover() {
	for i, s := range w.servers {
		if s == nil {
			continue
		}
		if on, fell := s.stage.disarm(); fell {
			w.note("fell on %s", on)
		}
		if s.stage.dead {
			s.end()
			w.servers[i] = nil
		}
	}
}

// server is one to act, which is started if it is dead. The step's fault is to fall on it.
func (w *world) server() *server {
	i := w.draw.IntN(len(w.servers))
	if w.servers[i] != nil && w.servers[i] == w.acting {
		i = 1 - i
	}
	if w.servers[i] == nil {
		s, err := w.start(i, w.skew(), nil)
		if err != nil {
			w.fail("start", "a server does not start: %v", err)
			return nil
		}
		w.servers[i] = s
	}
	s := w.servers[i]
	if f := w.faulty; f != nil {
		w.faulty = nil
		s.arm(f)
	}
	return s
}

// skew is how far a server's clock is off.
func (w *world) skew() time.Duration {
	if w.draw.IntN(20) == 0 {
		return -25 * time.Minute // too far for a partition that goes on
	}
	return []time.Duration{0, 0, time.Second, -time.Second, 2 * time.Minute, -2 * time.Minute}[w.draw.IntN(6)]
}

// A server is one process: a core that judges, one that seals, a desk for corrections, and what it has in memory.
type server struct {
	*world
	place  int
	stage  *stage
	db     *store.DB
	in     *intake.Server
	judge  *intake.Judge // of imports
	desk   *correct.Desk
	sealer *seal.Sealer
	keeper *testimony.Keeper
	ahead  time.Duration // its clock
	inbox  []*inquiry    // taken and not yet answered
}

// start starts a server as a process starts.
func (w *world) start(place int, skew time.Duration, struck *Step) (*server, error) {
	s := &server{world: w, place: place, stage: &stage{mutant: w.mutant, lines: w.lines}, ahead: skew}
	act := w.act
	w.act = "start"
	defer func() { w.act = act }()
	s.stage.met = w.met
	if struck != nil {
		s.stage.arm(struck)
	}
	var err error
	if s.db, err = store.OpenSimulated(w.ctx, w.file, store.Simulation{Driver: s.stage, Random: w.random}); err != nil {
		return nil, err
	}
	load := loadSigner
	if w.mutant.forgetful() {
		load = forgetSigned
	}
	signer, err := load(w.dir)
	if err == nil {
		s.sealer, err = seal.New(w.ctx, seal.Config{DB: s.db, Signer: signer, Witnesses: []seal.Witness{w.witness}})
	}
	if err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	s.in = intake.Stepped(s.db, intake.Config{Most: 6, Clock: s.clock, Admit: s.admit, Log: slog.New(slog.DiscardHandler)})
	s.judge = &intake.Judge{DB: s.db, Backfill: true}
	s.desk = correct.New(s.db)
	s.keeper = &testimony.Keeper{DB: s.db, Clock: s.time}
	w.note("server %d starts, its clock off by %v", place, skew)
	return s, nil
}

// met counts a statement.
func (w *world) met(what string, how stroke) {
	n := w.cover.at(point{w.act, what})
	n[unharmed]++
	if how != unharmed {
		n[how]++
	}
}

func (s *server) clock() int64    { return s.now + s.ahead.Microseconds() }
func (s *server) time() time.Time { return time.UnixMicro(s.clock()) }

// end closes what the system closes when a process has died.
func (s *server) end() {
	s.stage.dead = true
	s.db.Close()
}

// arm prepares what a step has go wrong, and who acts in between.
func (s *server) arm(f *Step) {
	if f.How != unharmed {
		s.stage.arm(f)
	}
	if f.Between == "" {
		return
	}
	s.stage.begins = f.Begins
	s.stage.between = func() {
		act, draw, acting := s.act, s.world.draw, s.acting
		s.world.draw, s.world.act, s.acting = rand.New(rand.NewPCG(f.Seed, 3)), f.Between, s
		s.note("meanwhile %s", f.Between)
		s.cover.Between[act+" / "+f.Between]++
		actionOf(f.Between).do(s.world)
		s.world.draw, s.world.act, s.acting = draw, act, acting
	}
}

// allowed reports whether an error can be: a stroke fell on this server, its clock is too far behind, or it was refused
// for a reason.
func (s *server) allowed(err error) bool {
	return s.stage.on != "" || s.stage.dead || fault.KindOf(err) != "" || strings.Contains(err.Error(), "ahead of this server's clock") && s.ahead < -8*time.Minute
}
