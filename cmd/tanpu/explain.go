package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/quantity"
)

// methodExplain shows the working of one claim.
func methodExplain(args []string, stdout, stderr io.Writer) error {
	var c tryout
	flags := flag.NewFlagSet("tanpu method explain", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&c.at, "at", "", "when the act began: 2026-08-21 or 2026-08-21T08:03, local time of the methodology")
	flags.StringVar(&c.evidence, "evidence", "system", "grade of the evidence")
	flags.StringVar(&c.region, "region", "", "code of the region, such as CN-42; by default the methodology's")
	flags.StringVar(&c.lang, "lang", langOfEnvironment(), "zh or en")
	flags.Func("history", "earlier values of an input, the latest first: used='290 kWh,310 kWh'; may be repeated", c.addHistory)
	words, err := parseMixed(flags, args)
	if err != nil {
		return flag.ErrHelp
	}
	if len(words) == 0 {
		return errors.New("tanpu method explain needs the id of a methodology, or a file")
	}
	for _, w := range words[1:] {
		if err := c.addValue(w); err != nil {
			return err
		}
	}
	m, start, err := c.find(words[0])
	if err != nil {
		return err
	}
	given, err := c.given(m, start)
	if err != nil {
		return err
	}
	text, err := m.Explain(given, c.lang)
	if err != nil {
		return err
	}
	_, err = io.WriteString(stdout, text)
	return err
}

// parseMixed parses flags that stand before, between and after words, and returns the words.
func parseMixed(flags *flag.FlagSet, args []string) (words []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return words, nil
		}
		words, args = append(words, flags.Arg(0)), flags.Args()[1:]
	}
}

// langOfEnvironment is Chinese where the terminal's language is, else English.
func langOfEnvironment() string {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := os.Getenv(name); v != "" {
			if strings.HasPrefix(v, "zh") {
				return "zh"
			}
			return "en"
		}
	}
	return "en"
}

// A tryout is a claim as it is typed.
type tryout struct {
	at, evidence, region, lang string
	duration                   string
	quantities                 []methodology.Reported
	history                    map[string][]string
}

func (c *tryout) addValue(word string) error {
	name, value, ok := strings.Cut(word, "=")
	switch {
	case !ok || name == "":
		return fmt.Errorf("%q is not written name='value unit'", word)
	case name == "duration":
		c.duration = value
	case slices.ContainsFunc(c.quantities, func(q methodology.Reported) bool { return q.Name == name }):
		return fmt.Errorf("%s is given twice", name)
	default:
		c.quantities = append(c.quantities, methodology.Reported{Name: name, Text: strings.TrimSpace(value)})
		slices.SortFunc(c.quantities, func(a, b methodology.Reported) int { return strings.Compare(a.Name, b.Name) })
	}
	return nil
}

func (c *tryout) addHistory(word string) error {
	name, values, ok := strings.Cut(word, "=")
	if !ok {
		return errors.New("a history is written input='value,value'")
	}
	if c.history == nil {
		c.history = map[string][]string{}
	}
	c.history[name] = append(c.history[name], strings.Split(values, ",")...)
	return nil
}

// find returns the methodology that a word names, a file or an id with or without version, and when
// the act begins. Of several versions it is the one in force then.
func (c *tryout) find(word string) (*methodology.Methodology, time.Time, error) {
	var s *shelf
	var err error
	if strings.HasSuffix(word, ".yaml") {
		s, err = readFile(word)
	} else {
		s, err = shipped()
	}
	if err != nil {
		return nil, time.Time{}, err
	}
	id, version, _ := strings.Cut(word, "@")
	var found, best *methodology.Methodology
	var start time.Time
	for _, m := range s.methods {
		if !strings.HasSuffix(word, ".yaml") && (m.ID != id || version != "" && strconv.Itoa(m.Version) != version) {
			continue
		}
		found = m
		at, err := c.start(m.Zone)
		if err != nil {
			return nil, time.Time{}, err
		}
		if inForce(m, at) && (best == nil || m.From.After(best.From)) {
			best, start = m, at
		}
	}
	switch {
	case found == nil:
		return nil, time.Time{}, fmt.Errorf("there is no methodology %s; tanpu method list shows those that there are", word)
	case best == nil:
		at, _ := c.start(found.Zone)
		return nil, time.Time{}, fmt.Errorf("%s is not in force on %s; it is from %s; give another day with --at",
			found.Name(), at.Format(time.DateOnly), validity(found))
	}
	return best, start, nil
}

func inForce(m *methodology.Methodology, at time.Time) bool {
	return !at.Before(m.From) && (m.To.IsZero() || at.Before(m.To))
}

// readFile compiles one methodology against the groups and factors beside it.
func readFile(name string) (*shelf, error) {
	checked, beside, err := toCheck(name)
	if err != nil {
		return nil, err
	}
	var s shelf
	tell := func(_ paper, _ string, e error) { err = errors.Join(err, e) }
	s.stock(beside, tell)
	err = errors.Join(err, s.fallBack())
	s.compile(checked, tell)
	return &s, err
}

// start reads --at in the methodology's zone; without it, the act begins now.
func (c *tryout) start(zone *time.Location) (time.Time, error) {
	if c.at == "" {
		return time.Now().In(zone).Truncate(time.Minute), nil
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02T15:04", "2006-01-02 15:04", time.RFC3339} {
		if t, err := time.ParseInLocation(layout, c.at, zone); err == nil {
			return t.In(zone), nil
		}
	}
	return time.Time{}, fmt.Errorf("--at %q is not a date such as 2026-08-21", c.at)
}

// given is the claim as the methodology takes it.
func (c *tryout) given(m *methodology.Methodology, start time.Time) (methodology.Given, error) {
	g := methodology.Given{Region: c.region, Evidence: c.evidence, Quantities: c.quantities}
	if g.Region == "" {
		g.Region = m.Region
	}
	var err error
	if g.Start, g.End, err = c.times(m, start); err != nil {
		return g, err
	}
	g.History, err = c.past(m, g.Start)
	return g, err
}

// times are from start for as long as was typed, or the whole period where the group asks for that.
func (c *tryout) times(m *methodology.Methodology, start time.Time) (from, to int64, err error) {
	if c.duration == "" {
		from, to = m.Period(start)
		return from, to, nil
	}
	a, unit, err := quantity.ParseQuantity(c.duration)
	if err != nil || unit.Dim != quantity.Time {
		return 0, 0, fmt.Errorf("duration=%q is not a time such as '12 min'", c.duration)
	}
	seconds, ok := unit.Base(a)
	us, ok2 := methodology.Microseconds(seconds)
	if !ok || !ok2 {
		return 0, 0, fmt.Errorf("duration=%q is below zero, longer than ten years, or finer than a microsecond", c.duration)
	}
	return start.UnixMicro(), start.UnixMicro() + us, nil
}

// past is the history that was typed: values of the periods that the formulas look at, the latest first.
func (c *tryout) past(m *methodology.Methodology, start int64) (func(input, period string) (quantity.Rat, bool), error) {
	values := map[methodology.HistoryKey]quantity.Rat{}
	for name, texts := range c.history {
		i := slices.IndexFunc(m.Inputs, func(in methodology.Input) bool { return in.Name == name })
		keys := slices.DeleteFunc(m.NeedsHistory(start), func(k methodology.HistoryKey) bool { return k.Input != name })
		if i < 0 || len(keys) < len(texts) {
			return nil, fmt.Errorf("--history %s: the formulas look at %d earlier values of it, not %d", name, len(keys), len(texts))
		}
		for j, text := range texts {
			base, ok := m.Inputs[i].Base(strings.TrimSpace(text))
			if !ok {
				return nil, fmt.Errorf("--history %s: %q is not in %s", name, text, m.Inputs[i].Unit.Name)
			}
			values[keys[j]] = base
		}
	}
	return func(input, period string) (quantity.Rat, bool) {
		v, ok := values[methodology.HistoryKey{Input: input, Period: period}]
		return v, ok
	}, nil
}
