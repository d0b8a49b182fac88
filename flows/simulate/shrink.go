package simulate

import (
	"fmt"
	"slices"
	"strings"
)

// A Finding is a seed in which something does not hold, with the shortest script that still shows it.
type Finding struct {
	Seed    uint64
	Steps   int // of the script that was drawn
	Script  []Step
	Failure *Failure // of that script
	First   *Failure // of the one that was drawn
	Tried   int
}

// mostTries bounds how often a script is tried to be made shorter.
const mostTries = 400

// Shrink leaves out of a script what it fails without: steps, what goes wrong in them, and who acts in between.
func Shrink(seed uint64, steps int, mutant *Mutant, first *Failure) (*Finding, error) {
	f := &Finding{Seed: seed, Steps: steps, Script: Draw(seed, steps), Failure: first, First: first}
	var broken error
	fails := func(script []Step) bool {
		if f.Tried++; f.Tried > mostTries || broken != nil {
			return false
		}
		r, err := Run(seed, script, mutant)
		if err != nil {
			broken = err
			return false
		}
		if r.Failure == nil || r.Failure.What != first.What {
			return false
		}
		f.Script, f.Failure = script, r.Failure
		return true
	}
	for size := len(f.Script); size > 0; size /= 2 {
		for from := 0; from < len(f.Script); {
			without := slices.Concat(f.Script[:from], f.Script[min(len(f.Script), from+size):])
			if !fails(without) {
				from += size
			}
		}
	}
	for i := range f.Script {
		simpler := slices.Clone(f.Script)
		if simpler[i].How != unharmed {
			simpler[i].How = unharmed
			fails(simpler)
		}
		simpler = slices.Clone(f.Script)
		if simpler[i].Between != "" {
			simpler[i].Between = ""
			fails(simpler)
		}
	}
	return f, broken
}

// String tells what was found and how to see it again.
func (f *Finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d fails: %v\n", f.Seed, f.First)
	if f.Failure.Text != f.First.Text {
		fmt.Fprintf(&b, "and, with fewer steps: %v\n", f.Failure)
	}
	b.WriteString("the shortest script that was found:\n")
	for _, s := range f.Script {
		fmt.Fprintf(&b, "  %v\n", s)
	}
	fmt.Fprintf(&b, "again: %s\n", f.Command())
	return b.String()
}

// Command is the command that does it again.
func (f *Finding) Command() string {
	only, calm, alone := make([]int, 0, len(f.Script)), []int{}, []int{}
	drawn := Draw(f.Seed, f.Steps)
	for _, s := range f.Script {
		only = append(only, s.Number)
		if drawn[s.Number].How != s.How {
			calm = append(calm, s.Number)
		}
		if drawn[s.Number].Between != s.Between {
			alone = append(alone, s.Number)
		}
	}
	text := fmt.Sprintf("tanpu simulate --seed %d --steps %d --only %s", f.Seed, f.Steps, numbers(only))
	if len(calm) > 0 {
		text += " --calm " + numbers(calm)
	}
	if len(alone) > 0 {
		text += " --alone " + numbers(alone)
	}
	return text
}

func numbers(list []int) string {
	return strings.Trim(strings.Join(strings.Fields(fmt.Sprint(list)), ","), "[]")
}

// Some are those steps of a script that have one of the numbers; in those that are calm nothing goes wrong, and in those
// that are alone nobody acts in between.
func Some(script []Step, only, calm, alone []int) []Step {
	var list []Step
	for _, s := range script {
		if !slices.Contains(only, s.Number) {
			continue
		}
		if slices.Contains(calm, s.Number) {
			s.How = unharmed
		}
		if slices.Contains(alone, s.Number) {
			s.Between = ""
		}
		list = append(list, s)
	}
	return list
}
