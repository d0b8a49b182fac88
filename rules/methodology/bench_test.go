package methodology

import (
	"testing"
	"time"

	"github.com/tanpu/tanpu/library"
	"github.com/tanpu/tanpu/rules/reason"
)

// BenchmarkTry is what each claim costs: a shared-bike ride, read, held plausible and quantified.
func BenchmarkTry(b *testing.B) {
	m := embedded(b, "demo-bike")
	start := time.Date(2026, 8, 21, 8, 3, 0, 0, time.UTC).UnixMicro()
	for _, bench := range []struct{ name, distance string }{{"km", "2.1"}, {"metres", "2134.7 m"}} {
		b.Run(bench.name, func(b *testing.B) {
			g := &Given{Start: start, End: start + 12*60*second + 345678, Region: "CN-420100", Evidence: "system",
				Quantities: []Reported{{"distance", bench.distance}}}
			b.ReportAllocs()
			for b.Loop() {
				if _, code, _ := m.Try(g); code != reason.OK {
					b.Fatal(code)
				}
			}
		})
	}
}

// BenchmarkLocalDay is part of every claim too.
func BenchmarkLocalDay(b *testing.B) {
	m := embedded(b, "demo-bike")
	us := time.Date(2026, 8, 21, 8, 3, 0, 0, time.UTC).UnixMicro()
	b.ReportAllocs()
	for b.Loop() {
		m.LocalDay(us)
	}
}

// embedded compiles a methodology of the library.
func embedded(t testing.TB, name string) *Methodology {
	t.Helper()
	lib := new(Library)
	for _, file := range []string{"activity", "things"} {
		groups, err := ParseGroups(file, embeddedText(t, "groups/"+file+".groups.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if err := lib.AddGroups(groups); err != nil {
			t.Fatal(err)
		}
	}
	m, err := Parse(name, embeddedText(t, "methodologies/"+name+".methodology.yaml"), lib)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func embeddedText(t testing.TB, file string) []byte {
	t.Helper()
	text, err := library.FS.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
