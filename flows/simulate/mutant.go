package simulate

import "slices"

// A Mutant is a fault that is built in on purpose. A simulation that does not find it would find nothing.
type Mutant struct {
	Name      string
	Forgets   []string // statements that are not carried out, and said to be
	Hasty     bool     // commits are answered, and not carried out
	Forgetful bool     // a server that starts does not know what was signed
	Anew      bool     // a server that starts takes a claim that is sent again for another one
}

// Mutants are all of them.
var Mutants = []*Mutant{
	{Name: "usage of caps is not written", Forgets: []string{"INSERT usage", "UPDATE usage"}},
	{Name: "balances are not written", Forgets: []string{"INSERT balance"}},
	{Name: "acts and totals that count are not noted", Forgets: []string{"INSERT slot"}},
	{Name: "meters' earlier values are not kept", Forgets: []string{"INSERT history"}},
	{Name: "day totals are not written", Forgets: []string{"INSERT day_total"}},
	{Name: "consents do not end", Forgets: []string{"UPDATE link"}},
	{Name: "reversed claims are not marked", Forgets: []string{"UPDATE claim"}},
	{Name: "signatures are not kept", Forgets: []string{"INSERT testimony", "INSERT testimony_batch"}},
	{Name: "it is not noted how far the log has come", Forgets: []string{"INSERT log_mark"}},
	{Name: "the log's tiles are not written", Forgets: []string{"INSERT log_tile"}},
	{Name: "it is not noted that the log's keys changed", Forgets: []string{"INSERT log_key"}},
	{Name: "published heads are not kept", Forgets: []string{"UPDATE log"}},
	{Name: "requests for links are not noted", Forgets: []string{"INSERT request"}},
	{Name: "answers come before the commit", Hasty: true},
	{Name: "a server forgets what it signed", Forgetful: true},
	{Name: "a claim sent again is judged anew", Anew: true},
}

func (m *Mutant) swallows(what string) bool {
	return m != nil && slices.Contains(m.Forgets, what)
}

func (m *Mutant) hasty() bool     { return m != nil && m.Hasty }
func (m *Mutant) forgetful() bool { return m != nil && m.Forgetful }
func (m *Mutant) anew() bool      { return m != nil && m.Anew }
