package simulate

import (
	"os"
	"runtime"
	"testing"

	"github.com/tanpu/tanpu/store/storetest"
)

const steps = 50

// A seed makes the same world each time, whatever worlds there were before in its place.
func TestAgain(t *testing.T) {
	y, err := newYard()
	if err != nil {
		t.Fatal(err)
	}
	defer y.close()
	seeds := uint64(8)
	if storetest.Raced {
		seeds = 2
	}
	for seed := range seeds {
		alone, err := Run(seed, Draw(seed, steps), nil)
		if err != nil {
			t.Fatal(err)
		}
		after, err := y.run(seed, Draw(seed, steps), nil)
		if err != nil {
			t.Fatal(err)
		}
		if alone.Failure != nil || alone.Trace != after.Trace {
			t.Errorf("seed %d makes the traces %s and %s (%v, %v)", seed, alone.Trace, after.Trace, alone.Failure, after.Failure)
		}
	}
}

// A thousand seeds run clean, and all that can happen happens in them.
func TestThousand(t *testing.T) {
	if storetest.Raced {
		t.Skip("too many worlds for the race detector: make check has them run without")
	}
	s, err := Seeds(t.Context(), Range(1, 1000), steps, runtime.GOMAXPROCS(0), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range s.Findings {
		t.Error(f)
	}
	if testing.Verbose() {
		s.Coverage.Write(os.Stdout)
	}
	t.Logf("%d seeds in %v", s.Seeds, s.Took)
	for _, what := range s.Coverage.Missing() {
		t.Errorf("never happened: %s", what)
	}
}

// Each fault that is built in on purpose is found.
func TestMutants(t *testing.T) {
	if storetest.Raced {
		t.Skip("too many worlds for the race detector: make check has them run without")
	}
	const most = uint64(150)
	for _, m := range Mutants {
		t.Run(m.Name, func(t *testing.T) {
			for seed := uint64(1); seed <= most; seed++ {
				r, err := Run(seed, Draw(seed, steps), m)
				if err != nil {
					t.Fatal(err)
				}
				if r.Failure != nil {
					t.Logf("found by seed %d: %.200s", seed, r.Failure.Error())
					return
				}
			}
			t.Errorf("not found by %d seeds", most)
		})
	}
}

// What is found is told in as few steps as show it.
func TestShrink(t *testing.T) {
	m := Mutants[1]
	for seed := uint64(1); ; seed++ {
		r, err := Run(seed, Draw(seed, steps), m)
		if err != nil {
			t.Fatal(err)
		}
		if r.Failure == nil {
			continue
		}
		f, err := Shrink(seed, steps, m, r.Failure)
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Script) > 4 {
			t.Errorf("%d steps are left:\n%v", len(f.Script), f)
		}
		t.Log(f)
		return
	}
}
