package claim

import (
	"reflect"
	"testing"
)

func TestParseBody(t *testing.T) {
	for _, c := range []Claim{
		{},
		{Evidence: "system"},
		{Evidence: "system", Quantities: []Quantity{{Name: "distance", Text: "2100 m"}, {Name: "steps", Text: "3000"}}},
		{Act: "a\"b\\c\n\x01é步", Commitment: "00ff", Evidence: "self", Object: "meter/1", Region: "CN-42", Quantities: []Quantity{{Name: "used", Text: ""}}},
	} {
		body := Body(&c)
		var got Claim
		if !ParseBody(&got, body) || !reflect.DeepEqual(got, c) {
			t.Errorf("ParseBody(%s) = %+v, want %+v", body, got, c)
		}
	}
	for _, body := range []string{"", "{", "x", "{}x", `{"region":"CN","act":"a"}`, `{"act":"a" }`, `{"act":"a",}`, `{"partner":"p"}`,
		`{"act":"\u0061"}`, `{"act":"a"}{}`, `{"quantities":{}}`, `{"evidence":""}`, `{"act":"a`, `{"act":"a\`, `{"act":1}`} {
		if ParseBody(&Claim{}, body) {
			t.Errorf("ParseBody(%s) = true, want false", body)
		}
	}
}

// Whatever ParseBody reads, Body writes the same way.
func FuzzParseBody(f *testing.F) {
	f.Add(`{"act":"a","quantities":{"distance":"2.1"},"region":"CN"}`)
	f.Add(`{"object":"\u0001\\\""}`)
	f.Fuzz(func(t *testing.T, body string) {
		var c Claim
		if ParseBody(&c, body) && Body(&c) != body {
			t.Errorf("Body of what ParseBody(%q) read is %q", body, Body(&c))
		}
	})
}

func BenchmarkParseBody(b *testing.B) {
	body := Body(&Claim{Evidence: "system", Quantities: []Quantity{{Name: "distance", Text: "2100 m"}}})
	b.ReportAllocs()
	var c Claim
	for range b.N {
		ParseBody(&c, body)
	}
}
