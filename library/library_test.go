package library_test

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tanpu/tanpu/library"
	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/rulebook"
)

// shelf is the whole library, compiled.
type shelf struct {
	lib     methodology.Library
	methods []*methodology.Methodology
}

func load(t *testing.T) *shelf {
	t.Helper()
	var s shelf
	each(t, "groups/*.groups.yaml", func(file string, text []byte) error {
		groups, err := methodology.ParseGroups(file, text)
		if err != nil {
			return err
		}
		return s.lib.AddGroups(groups)
	})
	each(t, "factors/*.factors.yaml", func(file string, text []byte) error {
		factors, err := methodology.ParseFactors(file, text)
		if err != nil {
			return err
		}
		return s.lib.AddFactors(factors)
	})
	each(t, "methodologies/*.methodology.yaml", func(file string, text []byte) error {
		m, err := methodology.Parse(file, text, &s.lib)
		if err == nil {
			s.methods = append(s.methods, m)
		}
		return err
	})
	return &s
}

// each hands every file of a kind to read, and reports what it says.
func each(t *testing.T, pattern string, read func(file string, text []byte) error) {
	t.Helper()
	files, err := fs.Glob(library.FS, pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	for _, file := range files {
		text, err := fs.ReadFile(library.FS, file)
		if err != nil {
			t.Fatal(err)
		}
		if err := read(file, text); err != nil {
			t.Errorf("%v", err)
		}
	}
}

func TestExamples(t *testing.T) {
	for _, m := range load(t).methods {
		if err := m.CheckExamples(); err != nil {
			t.Errorf("%s: %v", m.Name(), err)
		}
		refusals := 0
		for _, e := range m.Examples {
			if e.Want.Reason.Kind() == reason.Refused {
				refusals++
			}
		}
		if len(m.Examples) < 3 || refusals == 0 {
			t.Errorf("%s has %d examples, %d of them refusals; want 3 or more, and a refusal", m.Name(), len(m.Examples), refusals)
		}
	}
}

// A methodology of the library is for points, in both languages, and every figure says where it is from.
func TestMethodologies(t *testing.T) {
	domains := map[string]int{}
	for _, m := range load(t).methods {
		domains[m.Domain]++
		if m.Use != "points" {
			t.Errorf("%s is use: %s, but no source here has the texts that units need", m.Name(), m.Use)
		}
		bothLanguages(t, m.Name()+" title", m.Title)
		for _, in := range m.Inputs {
			bothLanguagesUnlessDemo(t, m, "input "+in.Name, in.Title)
			sourced(t, m, in.Name, in.Source, in.Seen)
		}
		for _, p := range m.Parameters {
			bothLanguagesUnlessDemo(t, m, "parameter "+p.Name, p.Title)
			sourced(t, m, p.Name, p.Source, p.Seen)
		}
		if m.ID == "DEMO-BIKE" {
			continue
		}
		for _, text := range []string{"applicability", "boundary"} {
			if len(m.Texts[text]) == 0 {
				t.Errorf("%s has no %s", m.Name(), text)
			}
		}
	}
	for _, d := range []string{"life", "public-good", "consumption", "tourism", "travel"} {
		if domains[d] == 0 {
			t.Errorf("no methodology in the domain %s", d)
		}
	}
}

func bothLanguages(t *testing.T, what string, text methodology.Text) {
	t.Helper()
	if text.ZH == "" || text.EN == "" || text.ZH == text.EN {
		t.Errorf("%s is %+v, want both languages", what, text)
	}
}

// bothLanguagesUnlessDemo leaves out the demonstration, which is the example of the format, word for word.
func bothLanguagesUnlessDemo(t *testing.T, m *methodology.Methodology, what string, text methodology.Text) {
	t.Helper()
	if m.ID != "DEMO-BIKE" {
		bothLanguages(t, m.Name()+" "+what, text)
	}
}

// sourced checks that a figure names a source of its document, and that nobody claims to have looked up
// what an operator set.
func sourced(t *testing.T, m *methodology.Methodology, figure, source string, seen bool) {
	t.Helper()
	if !slices.ContainsFunc(m.Sources, func(s methodology.Source) bool { return s.ID == source }) {
		t.Errorf("%s: %s has no source", m.Name(), figure)
	}
	if source == "operator" && seen {
		t.Errorf("%s: %s is set by the operator and cannot have been seen", m.Name(), figure)
	}
}

// TestVersions guards what partners rely on: both versions of Wuhan's travel, and the day between them.
func TestVersions(t *testing.T) {
	found := map[string]*methodology.Methodology{}
	for _, m := range load(t).methods {
		found[m.Name()] = m
	}
	for _, id := range []string{"WUHAN-BUS", "WUHAN-METRO", "WUHAN-BIKE"} {
		one, two := found[id+"@1"], found[id+"@2"]
		if one == nil || two == nil {
			t.Errorf("%s: version 1 %v, version 2 %v", id, one != nil, two != nil)
			continue
		}
		if got := two.From.Format(time.DateOnly); got != "2024-09-02" || !one.To.Equal(two.From) {
			t.Errorf("%s: version 1 ends %v, version 2 begins %v", id, one.To, two.From)
		}
	}
}

func TestGridFactors(t *testing.T) {
	factors := load(t).lib.Factors
	for _, tt := range []struct {
		name             string
		values, regions  int
		region, on, want string
	}{
		{"grid-average", 90, 30, "CN-42", "2026-08-21", "0.4044"},
		{"grid-average", 90, 30, "CN-42", "2025-12-30", "0.4364"},
		{"grid-average", 90, 30, "CN-11", "2024-04-12", "0.5688"},
		{"grid-average-region", 21, 7, "CN-grid-south", "2024-12-20", "0.3869"},
		{"grid-average-national", 3, 1, "CN", "2026-08-21", "0.5306"},
	} {
		f := factors[tt.name]
		if f == nil {
			t.Errorf("there is no factor %s", tt.name)
			continue
		}
		regions, got := map[string]bool{}, ""
		for _, v := range f.Values {
			regions[v.Region] = true
			if v.Region == tt.region && v.From.Format(time.DateOnly) <= tt.on && (v.To.IsZero() || tt.on < v.To.Format(time.DateOnly)) {
				got += v.Text
			}
		}
		if len(f.Values) != tt.values || len(regions) != tt.regions || got != tt.want {
			t.Errorf("%s: %d values of %d regions, %s on %s is %q; want %d, %d, %s",
				tt.name, len(f.Values), len(regions), tt.region, tt.on, got, tt.values, tt.regions, tt.want)
		}
	}
}

func TestFactorsAreSourced(t *testing.T) {
	for name, f := range load(t).lib.Factors {
		bothLanguages(t, name, f.Title)
		for _, s := range f.Sources {
			bothLanguages(t, name+" source "+s.ID, s.Title)
		}
		for _, v := range f.Values {
			if !slices.ContainsFunc(f.Sources, func(s methodology.Source) bool { return s.ID == v.Source }) {
				t.Errorf("%s of %s from %s has no source", name, v.Region, v.From.Format(time.DateOnly))
			}
		}
	}
}

// A region finds its grid by what lies in it, and one that the split of Inner Mongolia leaves open finds none.
func TestGridAreas(t *testing.T) {
	const text = `
id: GRID
version: 1
title: t
domain: life
activity: electricity
kind: reduction
use: points
region: CN
timezone: Asia/Shanghai
valid: {from: 2024-04-12}
sources: [{id: test, title: t}]
inputs: {used: {unit: kWh}}
reduction: used * factor("grid-average-region", region)
evidence: {system: {weight: 1}}
examples:
  - {given: {used: 1, evidence: system, region: CN-150421}, want: {reduction: 601.2 gCO2e}}
  - {given: {used: 1, evidence: system, region: CN-150100}, want: {reduction: 712 gCO2e}}
  - {given: {used: 1, evidence: system, region: CN-15}, want: {refused: cannot-compute}}
  - {given: {used: 1, evidence: system, region: CN-420100, at: 2026-08-21}, want: {reduction: 527.1 gCO2e}}
  - {given: {used: 1, evidence: system, region: CN-54, at: 2026-08-21}, want: {refused: cannot-compute}}
`
	m, err := methodology.Parse("grid.methodology.yaml", []byte(text), &load(t).lib)
	if err == nil {
		err = m.CheckExamples()
	}
	if err != nil {
		t.Error(err)
	}
}

// The programmes of the library run on the methodologies of the library.
func TestProgrammes(t *testing.T) {
	s := load(t)
	var programmes []*rulebook.Programme
	each(t, "programmes/*.programme.yaml", func(file string, text []byte) error {
		p, err := rulebook.ParseProgramme(file, text)
		if err == nil {
			programmes = append(programmes, p)
		}
		return err
	})
	if err := rulebook.New(1, s.lib.Groups, s.methods, programmes).Check(); err != nil {
		t.Error(err)
	}
}

// What ships as an example of the formats is the example, word for word.
func TestExamplesOfTheFormats(t *testing.T) {
	const examples = "../../shared/examples"
	if _, err := os.Stat(examples); err != nil {
		t.Skip("the shared examples are not here")
	}
	for ours, theirs := range map[string]string{
		"groups/activity.groups.yaml":              "activity.groups.yaml",
		"methodologies/demo-bike.methodology.yaml": "bike.methodology.yaml",
		"programmes/demo-city.programme.yaml":      "demo.programme.yaml",
	} {
		got, err := fs.ReadFile(library.FS, ours)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(path.Join(examples, theirs))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from %s", ours, theirs)
		}
	}
}

// The demonstration trips are few, in order, and carry no more than a claim needs.
func TestDemo(t *testing.T) {
	packed, err := fs.ReadFile(library.Demo, "demo/trips.csv.gz")
	if err != nil {
		t.Fatal(err)
	}
	if len(packed) > 400_000 {
		t.Errorf("the trips take %d bytes, want at most 400,000", len(packed))
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(unpacked).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(rows[0], ","), "route_id,user_id,start_time_utc,end_time_utc,track_m"; got != want {
		t.Errorf("columns %s, want %s", got, want)
	}
	if len(rows) != 1+9129 {
		t.Errorf("%d rows, want 9129", len(rows)-1)
	}
	if !slices.IsSortedFunc(rows[1:], func(a, b []string) int { return strings.Compare(a[2], b[2]) }) {
		t.Error("the trips are not in order of their start")
	}
	for _, file := range []string{"LICENSE", "ORIGIN.md", "trips.map.yaml"} {
		if _, err := fs.Stat(library.Demo, "demo/"+file); err != nil {
			t.Error(err)
		}
	}
}
