// Package simulate runs the whole platform in one process on a virtual clock, one step at a time: servers that share a
// database, partners who report to them over a network that loses, delays and doubles, an operator, a witness, and
// whoever reads the log. Everything that can happen is drawn from a seed, and happens again from it: what is reported,
// in which order it arrives, which statement to the database fails or is the last of a server, who acts between whose
// transactions. In the end all is held against a plain model, and audited.
//
// What it does not do is let two things happen at once: servers take turns from transaction to transaction. For that
// there are the tests with real processes.
package simulate

import (
	"encoding/hex"
	"runtime/debug"
)

// A Result is what came of a script.
type Result struct {
	Trace    string // a hash of all that happened
	Failure  *Failure
	Coverage *Coverage
}

// Run lets a script happen in a world of its own, which is made of the seed.
func Run(seed uint64, script []Step, mutant *Mutant) (*Result, error) {
	y, err := newYard()
	if err != nil {
		return nil, err
	}
	defer y.close()
	return y.run(seed, script, mutant)
}

// run is Run in a yard where there were other worlds before.
func (y *yard) run(seed uint64, script []Step, mutant *Mutant) (*Result, error) {
	w, err := newWorld(y, seed, mutant)
	if err != nil {
		return nil, err
	}
	w.live(script)
	w.down()
	r := &Result{Trace: hex.EncodeToString(w.trace.Sum(nil)), Coverage: w.cover}
	if f, ok := w.failure.(*Failure); ok {
		r.Failure = f
		err = y.renew() // who knows who is still at the database
	}
	return r, err
}

// live lets the script happen, and what is under way come to its end.
func (w *world) live(script []Step) {
	defer func() {
		if r := recover(); r != nil {
			w.fail("panic", "%v\n%s", r, debug.Stack())
		}
	}()
	for i := range script {
		if w.step(&script[i]); w.failure != nil {
			return
		}
	}
	if w.settle(); w.failure == nil {
		w.check()
	}
}
