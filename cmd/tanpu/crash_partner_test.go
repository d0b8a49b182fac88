package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tanpu/tanpu/api"
	client "github.com/tanpu/tanpu/partner"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/store"
)

// A member has a sub with each partner.
type member struct {
	account    store.AccountID
	subs       map[string]string
	keepsTitle bool // reductions stay with the member, who gets no points
}

// A report is a claim and what its partner knows of it.
type report struct {
	by     *partner
	id     int
	of     *member // nil for a sub that nobody was given
	kind   kind
	start  int64 // µs
	length int   // seconds
	amount int   // metres, steps; for an order its key
	self   bool  // evidence of the lesser grade
	reused bool  // its id is another report's

	unsure   bool // sent, and not answered: may be recorded
	stricken bool // because somebody died
	answered bool
	verdict  verdict // the first
	checked  int     // the last check that found it recorded
}

// A verdict is what a partner remembers of one.
type verdict struct {
	reason   reason.Code
	mg       int64
	points   int64
	ref      claim.Ref
	operands string
}

// A kind is a scenario.
type kind string

const (
	riding   kind = "ride"
	walking  kind = "steps"
	ordering kind = "order"
)

// recorded reports whether the report makes a row.
func (r *report) recorded() bool { return r.of != nil && !r.reused }

func (r *report) String() string {
	return fmt.Sprintf("%s %d-%d (%v, answered %t, unsure %t, %+v)", r.by.name, r.by.n, r.id, r.kind, r.answered, r.unsure, r.verdict)
}

func (r *report) claim() claim.Claim {
	c := claim.Claim{Partner: r.by.name, ID: fmt.Sprintf("%d-%d", r.by.n, r.id), Sub: "aaaaaaaaaaaaaaaaaaaaaa", Scenario: string(r.kind),
		Start: r.start, End: r.start + int64(r.length)*1e6, Evidence: "system"}
	if r.of != nil {
		c.Sub = r.of.subs[r.by.name]
	}
	if r.self {
		c.Evidence = "self"
	}
	switch r.kind {
	case riding:
		c.Quantities = []claim.Quantity{{Name: "distance", Text: strconv.Itoa(r.amount) + " m"}}
	case walking:
		c.Quantities = []claim.Quantity{{Name: "steps", Text: strconv.Itoa(r.amount)}}
	case ordering:
		c.Quantities, c.Act = []claim.Quantity{{Name: "orders", Text: "1"}}, "order-"+strconv.Itoa(r.amount)
	}
	return c
}

var partnerNames = []string{"rides", "bank"}

// A partner reports what members did, one request after the other. It keeps what was not acknowledged and
// sends it again, same ids, same content, until it is; and it holds every verdict against the first.
type partner struct {
	*ordeal
	n        int
	name     string
	key      string
	signing  ed25519.PrivateKey // nil where it shows the key instead, as in a sandbox
	client   *http.Client
	invent   *rand.Rand // decides what happened, so that it depends on nothing but the seed
	luck     *rand.Rand // decides how it is sent
	midnight time.Time  // at which the window begins
	all      []*report  // by id
	pending  []*report  // not yet acknowledged, in order
}

// newPartner makes the n-th; one in four does not sign.
func newPartner(o *ordeal, n int, keys map[string]string, signing map[string]ed25519.PrivateKey) *partner {
	name := partnerNames[n%len(partnerNames)]
	y, m, d := time.Now().In(local).Date()
	p := &partner{
		ordeal: o, n: n, name: name, key: keys[name],
		client:   &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1, DisableCompression: true}},
		invent:   rand.New(rand.NewPCG(o.seed, uint64(2*n+1))),
		luck:     rand.New(rand.NewPCG(o.seed, uint64(2*n+2))),
		midnight: time.Date(y, m, d-window, 0, 0, 0, 0, local),
	}
	if n%4 != 0 {
		p.signing = signing[name]
	}
	return p
}

// local is the programme's time.
var local = time.FixedZone("CST", 8*3600)

// request makes up a request of 1 to 300 claims, small ones being the more frequent.
func (p *partner) request() []*report {
	u := p.invent.Float64()
	list := make([]*report, 1+int(300*u*u*u))
	for i := range list {
		list[i] = p.report()
	}
	return list
}

// report makes up what happened: something new, something that was reported before, another act at the same
// time, another act under the same id, or somebody who is not known.
func (p *partner) report() *report {
	if len(p.all) > 0 {
		past := p.all[p.invent.IntN(len(p.all))]
		switch n := p.invent.IntN(100); {
		case n < 4:
			return past
		case n < 5 && past.of != nil:
			return &report{by: p, id: past.id, of: past.of, kind: past.kind, start: past.start + 1e6, length: past.length, amount: past.amount, reused: true}
		case n < 10:
			return p.add(&report{of: past.of, kind: past.kind, start: past.start + 2*60*1e6, length: past.length, amount: past.amount})
		}
	}
	r := &report{of: p.someone()}
	day := p.midnight.AddDate(0, 0, p.invent.IntN(window))
	at := day.Add(time.Duration(p.invent.IntN(20*3600)) * time.Second).UnixMicro()
	switch n := p.invent.IntN(10); {
	case n < 7:
		r.kind, r.start, r.length, r.self = riding, at, 120+p.invent.IntN(1800), n == 0
		r.amount = r.length * (1 + p.invent.IntN(29)) / 4 // up to 26 km/h, where 25 is plausible
		if p.invent.IntN(20) == 0 {
			r.amount = p.invent.IntN(100_000)
		}
	case n < 9:
		r.kind, r.start, r.length, r.amount = walking, day.UnixMicro(), 24*3600, 1+p.invent.IntN(60_000)
	default:
		r.kind, r.start, r.amount = ordering, at, p.invent.IntN(1000)
	}
	return p.add(r)
}

func (p *partner) add(r *report) *report {
	r.by, r.id = p, len(p.all)
	p.all = append(p.all, r)
	return r
}

// someone picks a member; some of them do a lot.
func (p *partner) someone() *member {
	switch n := p.invent.IntN(100); {
	case n < 1:
		return nil
	case n < 20:
		return p.members[p.invent.IntN(1+len(p.members)/20)]
	}
	return p.members[p.invent.IntN(len(p.members))]
}

// work reports until stop is closed and then, if it is to finish, until everything is acknowledged.
func (p *partner) work(stop <-chan struct{}, finish bool) {
	for !p.Failed() {
		select {
		case <-stop:
			if !finish || len(p.pending) == 0 {
				return
			}
		default:
		}
		if len(p.pending) == 0 {
			p.pending = p.request()
		}
		if !p.send() {
			time.Sleep(time.Duration(p.luck.IntN(20)) * time.Millisecond)
		}
	}
}

// recall asks again for some of what was acknowledged.
func (p *partner) recall() {
	for range min(200, len(p.all)) {
		p.pending = append(p.pending, p.all[p.luck.IntN(len(p.all))])
	}
	for len(p.pending) > 0 && !p.Failed() {
		if !p.send() {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// send sends what is pending, or the first part of it, to a server that answers, and settles what is
// answered. It reports whether anything was.
func (p *partner) send() bool {
	l := p.servers[p.luck.IntN(len(p.servers))].current.Load()
	if !l.answering() {
		return false
	}
	sent := p.pending
	if p.luck.IntN(4) == 0 {
		sent = sent[:1+p.luck.IntN(len(sent))]
	}
	patience, impatient := p.patience, p.patience < time.Minute
	if p.restless && p.luck.IntN(50) == 0 {
		patience, impatient = time.Duration(p.luck.IntN(40))*time.Millisecond, true
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	began := time.Now().UnixNano()
	a := p.post(ctx, l, sent)
	killed, ending := l.killed.Load(), l.ending.Load()
	switch {
	case a.err == nil && began < ending && ending < time.Now().UnixNano():
		p.spanning.Add(1)
	case a.err != nil && began < killed && !errors.Is(a.err, syscall.ECONNREFUSED), a.unjudged():
		p.hit[p.kills.Load()].Store(true)
	}
	return p.settle(l, sent, a, impatient)
}

// An answer is what came back, if something did.
type answer struct {
	err     error
	begun   bool // there was an answer, whole or not
	status  int
	results []api.Result
	text    string // of a problem
}

// unjudged reports whether the server took the request and then lost the database.
func (a *answer) unjudged() bool {
	return a.status == http.StatusServiceUnavailable && strings.Contains(a.text, "could be judged") ||
		slices.ContainsFunc(a.results, func(r api.Result) bool { return r.Reason == reason.Retry })
}

func (p *partner) post(ctx context.Context, l *life, sent []*report) (a answer) {
	claims := make([]claim.Claim, len(sent))
	for i, r := range sent {
		claims[i] = r.claim()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.base+"/v1/claims", bytes.NewReader(client.Body(claims)))
	if err != nil {
		return answer{err: err}
	}
	if p.signing != nil {
		client.SignClaims(request, p.signing, claims, client.NewSalt(), time.Now())
	} else {
		request.Header.Set("Authorization", "Bearer "+p.key)
	}
	request.Header.Set("Content-Type", "application/cloudevents-batch+json")
	response, err := p.client.Do(request)
	if err != nil {
		return answer{err: err}
	}
	defer response.Body.Close()
	a.begun, a.status = true, response.StatusCode
	text, err := io.ReadAll(response.Body)
	if err != nil || a.status != http.StatusOK {
		a.err, a.text = err, string(text)
		return a
	}
	var decoded api.Results
	a.err = json.Unmarshal(text, &decoded)
	if a.results = decoded.Results; a.err == nil && len(a.results) != len(sent) {
		a.err = fmt.Errorf("%d claims got %d verdicts", len(sent), len(a.results))
		p.Errorf("%v", a.err)
	}
	return a
}

// settle makes of an answer, or of none, what a partner should.
func (p *partner) settle(l *life, sent []*report, a answer, impatient bool) bool {
	switch {
	case errors.Is(a.err, syscall.ECONNREFUSED):
	case a.err != nil && impatient && errors.Is(a.err, context.DeadlineExceeded):
		p.leave(sent, l.killed.Load() != 0)
	case a.err != nil && l.killed.Load() != 0:
		p.leave(sent, true)
	case a.err != nil && l.ending.Load() != 0 && !a.begun:
		// It came too late to be taken: check holds it to that.
	case a.err != nil:
		p.Errorf("a request to a server that nobody killed was not answered (answer begun: %t): %v", a.begun, a.err)
	case a.status == http.StatusTooManyRequests:
	case a.status == http.StatusServiceUnavailable && (p.unsteady || l.ending.Load() != 0):
		p.leave(sent, true)
	case a.status != http.StatusOK:
		p.Errorf("status %d: %s", a.status, a.text)
	default:
		p.take(sent, a.results)
		return true
	}
	return false
}

// leave notes that what was sent has no verdict and may have been recorded all the same.
func (p *partner) leave(sent []*report, stricken bool) {
	for _, r := range sent {
		r.unsure = true
		if stricken && !r.stricken && !r.answered {
			r.stricken = true
			p.unanswered.Add(1)
		}
	}
}

// take notes the verdicts of what was sent, which is at the head of what is pending.
func (p *partner) take(sent []*report, results []api.Result) {
	var again []*report
	for i, r := range sent {
		if results[i].Reason == reason.Retry {
			again = append(again, r)
			continue
		}
		p.hold(r, &results[i])
	}
	if len(again) > 0 {
		if !p.unsteady {
			p.Errorf("%d claims are to be sent again, though only servers were killed", len(again))
		}
		p.leave(again, true)
	}
	p.pending = append(again, p.pending[len(sent):]...)
}

// hold holds a verdict against the first of the same report.
func (p *partner) hold(r *report, got *api.Result) {
	v := verdict{reason: got.Reason, mg: got.Mg, points: got.Points}
	v.ref, _ = claim.ParseRef(got.Ref)
	if got.Operands != nil {
		text, _ := json.Marshal(got.Operands)
		v.operands = string(text)
	}
	replay := got.Reason == reason.Replay
	if replay {
		v.reason = got.First
	}
	switch {
	case got.ID != r.claim().ID:
		p.Errorf("%v was answered as %s", r, got.ID)
	case r.of == nil && v != verdict{reason: reason.NoLink}, r.reused && v != verdict{reason: reason.IDReused}:
		p.Errorf("%v got %+v", r, *got)
	case !r.recorded():
	case r.answered && !(replay && v == r.verdict):
		p.Errorf("%v, sent again, got %+v", r, *got)
	case !r.answered && replay && !r.unsure:
		p.Errorf("%v, never sent before, got %+v", r, *got)
	}
	if r.answered {
		return
	}
	r.answered, r.verdict = true, v
	p.acknowledged.Add(1)
	if r.stricken && replay {
		p.found.Add(1)
	}
}
