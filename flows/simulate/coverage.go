package simulate

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/tanpu/tanpu/rules/reason"
)

// Coverage counts what happened.
type Coverage struct {
	Actions map[string]int
	Between map[string]int // action / what another server did in between
	Reasons map[reason.Code]int
	Strokes map[point]*[len(strokes)]int
	Other   map[string]int // what else is to be met
	Claims  int
	Batches int
}

// A point is a statement of an action.
type point struct{ act, on string }

func NewCoverage() *Coverage {
	return &Coverage{Actions: map[string]int{}, Between: map[string]int{}, Reasons: map[reason.Code]int{}, Strokes: map[point]*[len(strokes)]int{}, Other: map[string]int{}}
}

func (c *Coverage) at(p point) *[len(strokes)]int {
	if c.Strokes[p] == nil {
		c.Strokes[p] = new([len(strokes)]int)
	}
	return c.Strokes[p]
}

// Add adds what another world met.
func (c *Coverage) Add(o *Coverage) {
	add(c.Actions, o.Actions)
	add(c.Between, o.Between)
	add(c.Reasons, o.Reasons)
	add(c.Other, o.Other)
	for p, n := range o.Strokes {
		sum := c.at(p)
		for i := range n {
			sum[i] += n[i]
		}
	}
	c.Claims += o.Claims
	c.Batches += o.Batches
}

func add[K comparable, N int | int64](to, from map[K]N) {
	for k, n := range from {
		to[k] += n
	}
}

// Write prints the table.
func (c *Coverage) Write(out io.Writer) {
	fmt.Fprintf(out, "%d claims judged, in %d batches\n\n", c.Claims, c.Batches)
	fmt.Fprintf(out, "%-16s %9s\n", "action", "times")
	for _, a := range actions {
		fmt.Fprintf(out, "%-16s %9d\n", a.name, c.Actions[a.name])
	}
	fmt.Fprintf(out, "\n%-20s %9s\n", "verdict", "times")
	for _, code := range append(slices.Clone(reason.All), reason.Retry) {
		fmt.Fprintf(out, "%-20s %9d\n", code, c.Reasons[code])
	}
	fmt.Fprintf(out, "\n%-40s %9s\n", "also", "times")
	for _, what := range slices.Sorted(maps.Keys(c.Other)) {
		fmt.Fprintf(out, "%-40s %9d\n", what, c.Other[what])
	}
	fmt.Fprintf(out, "\n%-12s %-26s %10s %8s %8s %8s %8s\n", "flow", "statement", "times", "refused", "lost", "died at", "after")
	points := slices.SortedFunc(maps.Keys(c.Strokes), func(a, b point) int {
		if a.act != b.act {
			return cmpText(a.act, b.act)
		}
		return cmpText(a.on, b.on)
	})
	for _, p := range points {
		n := c.Strokes[p]
		fmt.Fprintf(out, "%-12s %-26s %10d %8d %8d %8d %8d\n", p.act, p.on, n[unharmed], n[refuse], n[lose], n[die], n[dieAfter])
	}
}

func cmpText(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}

// often is how many times a statement must be come to for something to have to fall on it.
const often = 1000

// Missing lists what never happened.
func (c *Coverage) Missing() (list []string) {
	for _, a := range actions {
		if c.Actions[a.name] == 0 {
			list = append(list, "action "+a.name)
		}
	}
	for _, code := range append(slices.Clone(reason.All), reason.Retry) {
		if c.Reasons[code] == 0 {
			list = append(list, "verdict "+string(code))
		}
	}
	for _, what := range others {
		if c.Other[what] == 0 {
			list = append(list, what)
		}
	}
	return append(list, c.unharmed()...)
}

// others is what else must happen.
var others = []string{
	"the log's keys: rotate", "the log's keys: retire", "a key of the log was not ended yet", "a key of the log was changed already",
	"an older database was brought forward", "it had other keys of the log",
}

// unharmed lists what nothing fell on: a flow, or a statement of whatever flow, that was not struck in each of the four ways;
// and a statement of a flow that was not struck at all.
func (c *Coverage) unharmed() (list []string) {
	flows, statements := map[string]*[len(strokes)]int{}, map[string]*[len(strokes)]int{}
	sum := func(in map[string]*[len(strokes)]int, key string, n *[len(strokes)]int) {
		if in[key] == nil {
			in[key] = new([len(strokes)]int)
		}
		for i := range n {
			in[key][i] += n[i]
		}
	}
	for p, n := range c.Strokes {
		if calm[p.act] {
			continue
		}
		sum(flows, p.act, n)
		sum(statements, p.on, n)
		if n[unharmed] >= often && n[refuse]+n[lose]+n[die]+n[dieAfter] == 0 {
			list = append(list, fmt.Sprintf("%s: anything wrong with %s", p.act, p.on))
		}
	}
	for how := refuse; how <= dieAfter; how++ {
		for flow, n := range flows {
			if n[how] == 0 {
				list = append(list, fmt.Sprintf("%s: a statement %s", flow, how))
			}
		}
		for what, n := range statements {
			if n[how] == 0 && n[unharmed] >= often {
				list = append(list, fmt.Sprintf("%s %s", what, how))
			}
		}
	}
	slices.Sort(list)
	return list
}

// calm are the flows in which nothing is to go wrong, and erasing, which is struck at every statement by a test of its own
// (store's TestEraseFaults).
var calm = map[string]bool{"erase": true, "settle": true, "back up": true, "kill": true, "power": true, "wait": true}
