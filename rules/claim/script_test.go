package claim_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/reason"
)

var update = flag.Bool("update", false, "write what comes out into the scripts, to be read before it is believed")

// TestScripts has the claims of testdata/*.script judged. A line is
//
//	SUB ID SCENARIO TIME [NAME=VALUE…] -> VERDICT
//
// in which TIME is start/end, an instant, a whole day or a whole month in the script's zone, and VERDICT
// is the reason with what was credited and the operands. Other lines set the scene: zone, at, backfill,
// link, revoke, spend, pool, and balance, which looks; retract, replace and again correct. Each script is run in batches of several sizes, because how
// claims are split into batches must not matter.
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("testdata/*.script")
	if err != nil || len(scripts) == 0 {
		t.Fatal("there are no scripts", err)
	}
	for _, file := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".script"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, size := range []int{1, 2, 3, 1000} {
				s := &script{memory: newMemory(library(t, documents(t))), t: t, size: size, zone: time.UTC, pooled: map[claim.Ref]bool{}}
				got := s.run(string(text))
				if *update {
					if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
						t.Fatal(err)
					}
					text = []byte(got)
				}
				compare(t, size, string(text), got)
			}
		})
	}
}

func compare(t *testing.T, size int, want, got string) {
	t.Helper()
	wants, gots := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range wants {
		if wants[i] != gots[i] {
			t.Errorf("line %d, in batches of %d:\n got %s\nwant %s", i+1, size, gots[i], wants[i])
		}
	}
}

// documents reads testdata/documents.txt.
func documents(t testing.TB) map[string]string {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/documents.txt")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range archive.Files {
		files[f.Name] = string(f.Data)
	}
	return files
}

// A script is being run.
type script struct {
	*memory
	t       testing.TB
	size    int // claims in a batch
	zone    *time.Location
	session claim.Session
	waiting []claim.Claim
	pooled  map[claim.Ref]bool
	lines   []string // those of the claims that wait are open: what was judged is added to them
	open    []int
}

// run returns the script with what came out.
func (s *script) run(text string) string {
	for i, line := range strings.Split(text, "\n") {
		s.lines = append(s.lines, line)
		words := fields(line)
		if len(words) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		if run, ok := commands[words[0]]; ok {
			s.flush()
			run(s, i, words[1:])
			continue
		}
		s.waiting = append(s.waiting, s.claim(words))
		s.open = append(s.open, i)
		if len(s.waiting) == s.size {
			s.flush()
		}
	}
	s.flush()
	return strings.Join(s.lines, "\n")
}

var commands = map[string]func(s *script, line int, words []string){
	"zone": func(s *script, _ int, w []string) {
		zone, err := time.LoadLocation(w[0])
		if err != nil {
			s.t.Fatal(err)
		}
		s.zone = zone
	},
	"at":       func(s *script, _ int, w []string) { s.session.At = s.instant(w[0]) },
	"backfill": func(s *script, _ int, w []string) { s.session.Backfill = w[0] == "on" },
	"link":     func(s *script, _ int, w []string) { s.link(w) },
	"revoke":   func(s *script, _ int, w []string) { s.links[w[0]].Revoked = s.instant(w[1]) },
	"balance":  func(s *script, i int, w []string) { s.say(i, s.balance(w[0])) },
	"spend":    func(s *script, _ int, w []string) { s.spend(w) },
	"pool":     func(s *script, _ int, w []string) { s.pool(w) },
	"retract":  func(s *script, i int, w []string) { s.correct(i, claim.Retracted, w[0], w[1:2], nil) },
	"replace": func(s *script, i int, w []string) {
		c := s.claim(append(w[:1:1], w[2:]...))
		s.correct(i, claim.Replaced, w[0], w[1:2], &c)
	},
	"again": func(s *script, i int, w []string) { s.correct(i, claim.Rejudged, w[0], strings.Split(w[1], ","), nil) },
}

// link SUB PROGRAMME PARTNER [account=1] [purposes=credit,assign,statistics] [since=…] [scenarios=…] [objects=…]
func (s *script) link(words []string) {
	l := &claim.Link{Sub: words[0], Account: 1, Key: [32]byte{1}, Programme: words[1], Partner: words[2], Purposes: claim.Purposes}
	for _, w := range words[3:] {
		name, value, _ := strings.Cut(w, "=")
		switch name {
		case "account":
			fmt.Sscan(value, &l.Account)
		case "purposes":
			l.Purposes = strings.Split(value, ",")
		case "since":
			l.Since = s.instant(value)
		case "scenarios":
			l.Scenarios = strings.Split(value, ",")
		case "objects":
			l.Objects = strings.Split(value, ",")
		default:
			s.t.Fatalf("a link has no %q", name)
		}
	}
	s.links[l.Sub] = l
}

// spend SUB ASSET AMOUNT: what it is spent for is no concern of ours.
func (s *script) spend(words []string) {
	var amount int64
	fmt.Sscan(words[2], &amount)
	s.balances[ledger.Key{Holder: ledger.Holder(s.links[words[0]].Account), Asset: ledger.Asset(words[1])}] -= amount
	s.balances[ledger.Key{Holder: -99, Asset: ledger.Asset(words[1])}] += amount
}

// pool SUB ID…: these claims' reductions went into a lot.
func (s *script) pool(words []string) {
	for _, id := range words[1:] {
		s.pooled[s.ref(words[0], id)] = true
	}
}

// ref finds the claim of that id that was judged last.
func (s *script) ref(sub, id string) (ref claim.Ref) {
	for _, r := range s.rows {
		if r.Claim.ID == id && r.Claim.Partner == s.links[sub].Partner && r.Account == s.links[sub].Account {
			ref = r.Verdict.Ref
		}
	}
	return ref
}

func (s *script) name(ref claim.Ref) string {
	for _, r := range s.rows {
		if r.Verdict.Ref == ref {
			return r.Claim.ID
		}
	}
	return "?"
}

func (s *script) correct(line int, why claim.Why, sub string, ids []string, with *claim.Claim) {
	r := &claim.Correction{Why: why, With: with, By: s.links[sub].Partner, Reason: "a test"}
	for _, id := range ids {
		r.Of = append(r.Of, s.ref(sub, id))
	}
	b, err := s.memory.correct(s.t, s.links[sub].Account, r, s.session.At, func(f *claim.File) {
		if len(s.pooled) > 0 {
			f.Pooled = func(ref claim.Ref, _ ledger.Asset) bool { return s.pooled[ref] }
		}
	})
	if err != nil {
		s.say(line, strings.NewReplacer("3."+fmt.Sprint(r.Of[0].Batch)+"."+fmt.Sprint(r.Of[0].Ord), ids[0]).Replace(err.Error()))
		return
	}
	var list []string
	for _, r := range b.Reversals {
		text := fmt.Sprintf("%s %s", r.Why, s.name(r.Of))
		for _, n := range []struct {
			n    int64
			unit string
		}{{-r.Milligrams, "mg"}, {-r.Points, "pt"}, {r.OwedMilligrams, "mg owed"}, {r.OwedPoints, "pt owed"}} {
			if n.n != 0 {
				text += fmt.Sprintf(" %d%s", n.n, n.unit)
			}
		}
		if r.Next >= 0 {
			row := b.Rows[r.Next-len(b.Reversals)]
			text += fmt.Sprintf(" => %s %s", row.Claim.ID, outcome(row.Verdict))
		}
		list = append(list, text)
	}
	s.say(line, strings.Join(list, "; "))
}

func (s *script) claim(words []string) claim.Claim {
	sub, partner, other := strings.Cut(words[0], "@") // SUB@PARTNER: reported by another partner than the link's
	if l := s.links[sub]; !other && l != nil {
		partner = l.Partner
	}
	c := claim.Claim{Partner: partner, ID: words[1], Sub: sub, Scenario: words[2], Evidence: "system"}
	c.Start, c.End = s.times(words[3])
	for _, w := range words[4:] {
		if w == "->" {
			break
		}
		name, value, _ := strings.Cut(w, "=")
		switch name {
		case "evidence":
			c.Evidence = value
		case "region":
			c.Region = value
		case "act":
			c.Act = value
		case "object":
			c.Object = value
		default:
			text, _ := claim.Canonical(value)
			c.Quantities = append(c.Quantities, claim.Quantity{Name: name, Text: text})
		}
	}
	slices.SortFunc(c.Quantities, func(a, b claim.Quantity) int { return strings.Compare(a.Name, b.Name) })
	return c
}

// times reads 2026-08-21T08:00/09:00, 2026-08-21T08:00, 2026-08-21 or 2026-08.
func (s *script) times(text string) (start, end claim.Micros) {
	if from, to, ok := strings.Cut(text, "/"); ok {
		if !strings.Contains(to, "T") {
			to = from[:len("2026-08-21T")] + to
		}
		return s.instant(from), s.instant(to)
	}
	if first, err := time.ParseInLocation("2006-01", text, s.zone); err == nil {
		return first.UnixMicro(), first.AddDate(0, 1, 0).UnixMicro()
	}
	if first, err := time.ParseInLocation(time.DateOnly, text, s.zone); err == nil {
		return first.UnixMicro(), first.AddDate(0, 0, 1).UnixMicro()
	}
	return s.instant(text), s.instant(text)
}

func (s *script) instant(text string) claim.Micros {
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05.999999"} {
		if t, err := time.ParseInLocation(layout, text, s.zone); err == nil {
			return t.UnixMicro()
		}
	}
	s.t.Fatalf("%q is no instant", text)
	return 0
}

// flush judges what waits.
func (s *script) flush() {
	if len(s.waiting) == 0 {
		return
	}
	b := s.judge(s.t, s.session, s.waiting)
	for i, v := range b.Verdicts {
		s.say(s.open[i], outcome(v))
	}
	s.waiting, s.open = nil, nil
}

// say puts what came out behind the arrow of a line.
func (s *script) say(line int, what string) {
	head, _, _ := strings.Cut(s.lines[line], " ->")
	s.lines[line] = head + " -> " + what
}

func outcome(v claim.Verdict) string {
	b := string(v.Reason)
	if v.Reason == reason.Replay {
		b += " of " + string(v.First)
	}
	if v.Milligrams != 0 {
		b += fmt.Sprintf(" %dmg", v.Milligrams)
	}
	if v.Points != 0 {
		b += fmt.Sprintf(" %dpt", v.Points)
	}
	if o := claim.Operands(&v.Operands); o != "" {
		b += " " + o
	}
	return b
}

// balance lists what the account of a link, or "applicant", holds.
func (s *script) balance(name string) string {
	holder := ledger.Applicant
	if l := s.links[name]; l != nil {
		holder = ledger.Holder(l.Account)
	}
	var list []string
	for k, n := range s.balances {
		if k.Holder == holder && n != 0 {
			list = append(list, fmt.Sprintf("%s %d", k.Asset, n))
		}
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// fields splits a line at spaces outside of double quotes, which it takes away.
func fields(line string) []string {
	var list []string
	quoted, word := false, ""
	for _, r := range line + " " {
		switch {
		case r == '"':
			quoted = !quoted
		case r == ' ' && !quoted:
			if word != "" {
				list = append(list, word)
			}
			word = ""
		default:
			word += string(r)
		}
	}
	return list
}
