package simulate

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// A Step is one thing that happens in a world. All that is drawn for it comes from its own seed, so that a script from
// which other steps were left out still says the same.
type Step struct {
	Number  int // in the script that was drawn
	Act     string
	Seed    uint64
	Pause   time.Duration // that passes before
	How     stroke        // and what goes wrong with the server that acts
	After   int           // statements
	On      string        // only those that do this are counted; "" for all
	Between string        // what another server does before a transaction of this one begins; "" for nothing
	Begins  int           // before the transaction after so many
}

func (s Step) String() string {
	text := fmt.Sprintf("%3d  after %v: %s", s.Number, s.Pause, s.Act)
	if s.Between != "" {
		text += fmt.Sprintf(", and before transaction %d another server: %s", s.Begins, s.Between)
	}
	if s.How != unharmed {
		what := "statement"
		if s.On != "" {
			what = s.On
		}
		text += fmt.Sprintf(", %s %d %s", what, s.After, s.How)
	}
	return text
}

// Draw makes the script of a seed.
func Draw(seed uint64, steps int) []Step {
	r := rand.New(rand.NewPCG(seed, 1))
	list := make([]Step, steps)
	for i := range list {
		s := &list[i]
		s.Number, s.Seed, s.Act = i, r.Uint64(), drawAct(r, false)
		s.Pause = pauses[r.IntN(len(pauses))]
		if r.IntN(2) == 0 {
			reach := actionOf(s.Act).reach
			s.How, s.After = stroke(1+r.IntN(4)), r.IntN(reach)
			if named := points[s.Act]; len(named) > 0 && r.IntN(2) == 0 {
				s.On, s.After = named[r.IntN(len(named))], r.IntN(1+r.IntN(3))
			}
		}
		if r.IntN(8) == 0 {
			s.Between, s.Begins = drawAct(r, true), r.IntN(1+r.IntN(4))
		}
	}
	return list
}

var pauses = [...]time.Duration{time.Second, time.Second, 5 * time.Second, 20 * time.Second, 20 * time.Second, time.Minute, time.Minute, 3 * time.Minute, 40 * time.Minute}

// drawAct draws an action by its weight.
func drawAct(r *rand.Rand, between bool) string {
	sum := 0
	for _, a := range actions {
		if !between || a.between {
			sum += a.weight
		}
	}
	n := r.IntN(sum)
	for _, a := range actions {
		if between && !a.between {
			continue
		}
		if n -= a.weight; n < 0 {
			return a.name
		}
	}
	panic("unreachable")
}
