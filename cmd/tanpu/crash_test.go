package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"flag"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tanpu/tanpu/api"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

var (
	crashRounds = flag.Int("rounds", 9, "TestCrash: how many times it kills on each engine")
	crashSeed   = flag.Uint64("seed", 0, "TestCrash: decides what is reported, and what is killed when; 0 makes one up")
)

// TestCrash kills real servers with SIGKILL at random moments while partners report, starts them again, and
// lets the partners send again what was not answered. Nothing that was acknowledged may be lost, and nothing
// may count twice. docs/reliability.md tells how to run more rounds.
func TestCrash(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "tanpu")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("building tanpu: %v\n%s", err, out)
	}
	n := *crashRounds
	t.Run("sqlite", func(t *testing.T) {
		newOrdeal(t, binary, storetest.SQLite(t), 1, n).run()
	})
	t.Run("postgres", func(t *testing.T) {
		newOrdeal(t, binary, storetest.Postgres(t), 1, n-2*(n/3)).run()
	})
	t.Run("postgres, two servers", func(t *testing.T) {
		newOrdeal(t, binary, storetest.Postgres(t), 2, n/3).run()
	})
	t.Run("postgres killed", func(t *testing.T) {
		own := startCluster(t)
		o := newOrdeal(t, binary, storetest.Postgres(t), 1, n/3)
		o.cluster, o.unsteady = own, true
		o.run()
	})
	t.Run("postgres, a frozen server", func(t *testing.T) {
		url := storetest.Postgres(t) + "&idle_in_transaction_session_timeout=" + silence
		newOrdeal(t, binary, url, 2, max(1, n/50)).freeze()
	})
	t.Run("told to end", func(t *testing.T) {
		storetest.Each(t, func(t *testing.T, url string) {
			newOrdeal(t, binary, url, 1, 2+n/50).end()
		})
	})
}

// An ordeal is one database that lives through many deaths. Its seed decides what partners report, and what
// is killed how long after what; how the two fall together it does not decide, so a seed brings back the
// conditions of a failure and not always the failure.
type ordeal struct {
	*testing.T
	binary   string // tanpu
	url      string
	key      string // of the log: a file
	rounds   int    // deaths
	seed     uint64
	random   *rand.Rand // of the one who kills
	servers  []*server
	cluster  *cluster // the PostgreSQL that is killed too, if any
	members  []*member
	partners []*partner
	patience time.Duration // how long partners wait for an answer at most
	restless bool          // now and then they give up much sooner
	unsteady bool          // a server may say that it could not judge
	checks   int
	sample   []*store.ClaimRow // some of those that the last check read
	notes    []string          // of the last check's audit
	tally
}

// Errorf reports an error, and after some of them no more: what breaks often breaks thousandfold.
func (o *ordeal) Errorf(format string, args ...any) {
	o.Helper()
	if o.errors.Add(1) > 20 {
		o.Fail()
		return
	}
	o.T.Errorf(format, args...)
}

// A tally tells whether the ordeal was one.
type tally struct {
	kills        atomic.Int64
	hit          []atomic.Bool // by kill: whether a request was being worked on
	early        int           // kills of what had not yet begun to answer
	acknowledged atomic.Int64  // claims
	unanswered   atomic.Int64  // claims sent whose answer a death prevented
	found        atomic.Int64  // of these: were recorded, so that sent again they were replays
	errors       atomic.Int64
	spanning     atomic.Int64 // requests answered by a server that was ending
}

// misses is how many more rounds there are where those asked for fell between requests, as on a busy machine.
const misses = 20

const (
	reporters = 12 // partners' processes that report at once
	window    = 20 // days before today of which they report
)

// newOrdeal makes the database, its members and partners, and servers that are not yet started.
func newOrdeal(t *testing.T, binary, url string, servers, rounds int) *ordeal {
	t.Helper()
	o := &ordeal{T: t, binary: binary, url: url, key: filepath.Join(t.TempDir(), "log-key"), rounds: rounds, seed: *crashSeed, patience: time.Minute, restless: true}
	for o.seed == 0 {
		o.seed = uint64(rand.Uint32())
	}
	t.Logf("seed %d", o.seed)
	o.random = rand.New(rand.NewPCG(o.seed, 0))
	o.hit = make([]atomic.Bool, rounds+1+misses)
	documents, err := filepath.Glob("testdata/crash/*.yaml")
	if err != nil || len(documents) == 0 {
		t.Fatal("no documents: ", err)
	}
	if out, err := exec.Command(binary, append([]string{"init", "--db", url, "--log-key", o.key}, documents...)...).CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	o.enrol(min(300+40*rounds, 20_000))
	for range servers {
		o.servers = append(o.servers, newServer(t, binary, url, o.key))
	}
	return o
}

// enrol gives the partners keys, and opens accounts, each with a link for every partner. A fifth of the
// members keep title.
func (o *ordeal) enrol(n int) {
	ctx, now := context.Background(), time.Now()
	db, err := store.Open(ctx, o.url)
	if err != nil {
		o.Fatal(err)
	}
	defer db.Close()
	keys, signing := map[string]string{}, map[string]ed25519.PrivateKey{}
	for i, name := range partnerNames {
		signing[name] = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i)}, ed25519.SeedSize))
		public := signing[name].Public().(ed25519.PublicKey)
		if err := db.AddPartnerKey(ctx, store.PartnerKey{Partner: name, Public: public, Created: now.UnixMicro()}); err != nil {
			o.Fatal(err)
		}
		keys[name] = api.NewKey()
		if err := db.AddKey(ctx, store.Key{Hash: store.HashKey(keys[name]), Role: api.Partner, Partner: name, Created: now.UnixMicro()}); err != nil {
			o.Fatal(err)
		}
	}
	for i := range reporters {
		o.partners = append(o.partners, newPartner(o, i, keys, signing))
	}
	for part := range db.Parts {
		err := db.Update(ctx, part, now.UnixMicro(), func(tx *store.Tx) error {
			members, links := make([]*member, n/db.Parts), []claim.Link{}
			first, err := tx.OpenAccounts(ctx, len(members))
			if err != nil {
				return err
			}
			for i := range members {
				m := &member{account: store.AccountID{Part: part, Number: first + int64(i)}, keepsTitle: i%5 == 4, subs: map[string]string{}}
				purposes := claim.Purposes
				if m.keepsTitle {
					purposes = []string{claim.Credit}
				}
				for _, name := range partnerNames {
					links = append(links, claim.Link{Account: m.account.Number, Programme: "city", Partner: name, Purposes: purposes, Since: now.AddDate(0, -2, 0).UnixMicro()})
				}
				members[i] = m
			}
			if err := tx.Grant(ctx, links); err != nil {
				return err
			}
			for _, l := range links {
				members[l.Account-first].subs[l.Partner] = l.Sub
			}
			o.members = append(o.members, members...)
			return nil
		})
		if err != nil {
			o.Fatal(err)
		}
	}
}

// run kills in every round. Now and then it lets everything be answered and checks; the larger the database,
// the more rarely.
func (o *ordeal) run() {
	for _, s := range o.servers {
		s.start()
	}
	began := time.Now()
	for done := 0; !o.Failed() && (done < o.rounds || o.little(done) && done < o.rounds+misses); {
		n := max(1, min(o.rounds-done, max(5, done/2)))
		o.stretch(func() {
			for range n {
				o.kill()
			}
		})
		done += n
		o.check()
		o.Logf("%s: %s", time.Since(began).Round(time.Second), o)
	}
	for _, s := range o.servers {
		if err := s.end(); err != nil {
			o.Errorf("ending a server at last: %v", err)
		}
	}
	if n := int(o.kills.Load()); !o.Failed() && o.little(n) {
		o.Errorf("only %d of %d kills hit requests being worked on: that proves little", o.hits(), n)
	}
}

// little says that too few of n kills hit requests being worked on to prove anything.
func (o *ordeal) little(n int) bool { return 3*o.hits() < n-o.early }

func (o *ordeal) hits() (n int) {
	for i := range o.hit {
		if o.hit[i].Load() {
			n++
		}
	}
	return n
}

func (o *ordeal) String() string {
	return fmt.Sprintf("seed %d: %d kills, %d with requests in flight, %d while starting; %d claims acknowledged; %d were left without an answer, of which %d were recorded; %d checks",
		o.seed, o.kills.Load(), o.hits(), o.early, o.acknowledged.Load(), o.unanswered.Load(), o.found.Load(), o.checks)
}

// stretch has partners report while something happens, and then until all of it is answered.
func (o *ordeal) stretch(happen func()) {
	calm := make(chan struct{})
	var working sync.WaitGroup
	for _, p := range o.partners {
		working.Go(func() { p.work(calm, true) })
	}
	happen()
	close(calm)
	finished := make(chan struct{})
	go func() {
		working.Wait()
		close(finished)
	}()
	select {
	case <-finished:
	case <-time.After(3 * time.Minute):
		o.Fatalf("after three minutes of calm some claims have no answer; the last server says:\n%s", o.servers[len(o.servers)-1].said())
	}
}

// kill ends somebody at a random moment, without warning, and starts them again.
func (o *ordeal) kill() {
	if o.Failed() {
		return
	}
	moment := o.random.IntN(60) // of a start, or of what it recovers
	if o.random.IntN(8) > 0 || o.cluster != nil {
		moment = 20 + o.random.IntN(500)
		for _, s := range o.servers {
			if err := s.ready(); err != nil {
				o.Errorf("starting a server: %v", err)
				return
			}
		}
	}
	time.Sleep(time.Duration(moment) * time.Millisecond)
	victims, cluster := o.victims()
	o.kills.Add(1)
	for _, s := range victims {
		if !s.kill() {
			o.early++
		}
	}
	if cluster != nil {
		cluster.kill(o.T)
	}
	time.Sleep(time.Duration(o.random.IntN(100)) * time.Millisecond)
	if cluster != nil {
		cluster.again(o.T)
	}
	for _, s := range victims {
		s.start()
	}
}

// victims picks who dies: the server; either or both of two; or the database, now and then with the server.
func (o *ordeal) victims() ([]*server, *cluster) {
	all := o.random.IntN(4) == 0
	switch {
	case o.cluster != nil && !all:
		return nil, o.cluster
	case len(o.servers) > 1 && !all:
		i := o.random.IntN(len(o.servers))
		return o.servers[i : i+1], nil
	}
	return o.servers, o.cluster
}

// silence is how long, in the ordeal of a frozen server, a transaction may say nothing before PostgreSQL ends it.
const silence = "4s"

// freeze stops one of two servers in every round while it holds partitions, as a machine that is paused or cut
// off would. The other one must come to answer everything, and the first one, when it goes on, must not write
// what it was about to.
func (o *ordeal) freeze() {
	o.unsteady, o.patience = true, 2*time.Second
	for _, s := range o.servers {
		s.start()
		if err := s.ready(); err != nil {
			o.Fatal(err)
		}
	}
	for round := 0; !o.Failed() && (round < o.rounds || o.hits() == 0 && round < o.rounds+misses); round++ {
		o.stretch(func() {
			time.Sleep(time.Duration(200+o.random.IntN(300)) * time.Millisecond)
			o.kills.Add(1)
			o.servers[0].freeze()
		})
		o.stretch(func() {
			time.Sleep(time.Duration(o.random.IntN(300)) * time.Millisecond)
			o.servers[0].thaw()
			time.Sleep(300 * time.Millisecond)
		})
		o.check()
	}
	if o.hits() == 0 {
		o.Error("the server was never frozen while it worked on a request: nothing was tested")
	}
	o.Log(o)
}

// end tells the server in every round to end while partners report: whatever it took, it answers and seals, and then it
// ends as one that has done its work.
func (o *ordeal) end() {
	o.restless = false
	for round := 0; !o.Failed() && (round < o.rounds || o.spanning.Load() == 0 && round < o.rounds+misses); round++ {
		o.terminate()
		o.check()
		for _, n := range o.notes {
			if strings.Contains(n, "not in the log yet") {
				o.Errorf("when the server had ended, %s\n%s", n, o.servers[0].said())
			}
		}
	}
	if o.spanning.Load() == 0 {
		o.Error("no request was being answered when the server was told to end: nothing was tested")
	}
	o.Logf("seed %d: %d claims acknowledged; %d requests answered by a server that was ending", o.seed, o.acknowledged.Load(), o.spanning.Load())
}

// terminate tells the server to end at a random moment while partners report. They do not send again.
func (o *ordeal) terminate() {
	s := o.servers[0]
	s.start()
	if err := s.ready(); err != nil {
		o.Fatal(err)
	}
	gone := make(chan struct{})
	var working sync.WaitGroup
	for _, p := range o.partners {
		working.Go(func() { p.work(gone, false) })
	}
	time.Sleep(time.Duration(200+o.random.IntN(300)) * time.Millisecond)
	if err := s.end(); err != nil {
		o.Errorf("the server ended with: %v\n%s", err, s.said())
	}
	close(gone)
	working.Wait()
}
