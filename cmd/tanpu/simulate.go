package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tanpu/tanpu/flows/simulate"
)

// runSimulate carries out “tanpu simulate”: it runs the platform in worlds that are drawn from seeds. The exit status is 1
// when something did not hold.
func runSimulate(args []string, stdout, stderr io.Writer) int {
	flags := newFlags("simulate", "[--seed N [--only N,…] | --seeds A-B | --hours H] [--steps M]", stderr)
	var o simulation
	flags.Func("seed", "one world, and what it came to", func(text string) error { return o.one(text) })
	flags.Func("seeds", "worlds of the seeds `A-B`, and how often everything happened", func(text string) error { return o.from(text) })
	flags.Float64Var(&o.hours, "hours", 0, "worlds of seeds that nobody has seen, for so many hours")
	flags.IntVar(&o.steps, "steps", 50, "what happens in a world")
	flags.IntVar(&o.workers, "workers", runtime.GOMAXPROCS(0), "worlds at once")
	flags.Func("only", "of the one world only these steps: `N,…`, as a finding names them", numbers(&o.only))
	flags.Func("calm", "in these steps nothing goes wrong: `N,…`", numbers(&o.calm))
	flags.Func("alone", "in these steps nobody acts in between: `N,…`", numbers(&o.alone))
	if err := parse(flags, args); err != nil {
		return status(err, stderr)
	}
	if o.next == nil && o.hours == 0 || o.next != nil && o.hours != 0 || o.steps < 1 || o.workers < 1 || o.only != nil && !o.single {
		fmt.Fprintln(stderr, "tanpu simulate needs one of --seed, --seeds and --hours; --only goes with --seed")
		flags.Usage()
		return 2
	}
	collectLess()
	if o.only != nil {
		return status(o.script(stdout), stderr)
	}
	return status(o.run(stdout), stderr)
}

// A simulation is what was asked for.
type simulation struct {
	next              func() (uint64, bool)
	single            bool
	seed              uint64
	hours             float64
	steps, workers    int
	only, calm, alone []int
}

func (o *simulation) one(text string) (err error) {
	o.seed, err = strconv.ParseUint(text, 10, 64)
	o.single, o.next = true, simulate.Range(o.seed, o.seed)
	return err
}

func (o *simulation) from(text string) error {
	a, b, _ := strings.Cut(text, "-")
	from, err := strconv.ParseUint(a, 10, 64)
	to, err2 := strconv.ParseUint(b, 10, 64)
	if err = errors.Join(err, err2); err == nil && from > to {
		err = errors.New("want the smaller number first")
	}
	o.next = simulate.Range(from, to)
	return err
}

func numbers(to *[]int) func(string) error {
	return func(text string) error {
		*to = []int{}
		for word := range strings.SplitSeq(text, ",") {
			n, err := strconv.Atoi(word)
			if err != nil {
				return err
			}
			*to = append(*to, n)
		}
		return nil
	}
}

// run lets worlds live, and tells what was found.
func (o *simulation) run(stdout io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if o.hours > 0 {
		var end context.CancelFunc
		ctx, end = context.WithTimeout(ctx, time.Duration(o.hours*float64(time.Hour)))
		defer end()
		first := rand.Uint64() >> 1 // and those that follow it
		fmt.Fprintf(stdout, "seeds from %d on\n", first)
		o.next = simulate.Range(first, first+1<<62)
	}
	s, err := simulate.Seeds(ctx, o.next, o.steps, o.workers, nil)
	if err != nil {
		return err
	}
	for _, f := range s.Findings {
		fmt.Fprintln(stdout, f)
	}
	s.Coverage.Write(stdout)
	if missing := s.Coverage.Missing(); len(missing) > 0 && !o.single {
		fmt.Fprintf(stdout, "\nnever: %s\n", strings.Join(missing, "; "))
	}
	fmt.Fprintf(stdout, "\n%s, %s: %d seeds of %d steps, %.1f a second, %.2f h, %d findings\n",
		time.Now().UTC().Format(time.DateOnly), commit(), s.Seeds, o.steps, float64(s.Seeds)/s.Took.Seconds(), s.Took.Hours(), len(s.Findings))
	if len(s.Findings) > 0 {
		return errors.New("something does not hold")
	}
	return nil
}

// script lets some steps of one world happen.
func (o *simulation) script(stdout io.Writer) error {
	script := simulate.Some(simulate.Draw(o.seed, o.steps), o.only, o.calm, o.alone)
	for _, s := range script {
		fmt.Fprintln(stdout, s)
	}
	r, err := simulate.Run(o.seed, script, nil)
	if err != nil {
		return err
	}
	if r.Failure != nil {
		return r.Failure
	}
	_, err = fmt.Fprintln(stdout, "all holds; trace", r.Trace)
	return err
}
