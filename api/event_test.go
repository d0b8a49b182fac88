package api

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
)

// ride is an event as a partner sends it.
const ride = `{"specversion":"1.0","type":"tanpu.claim.v1","source":"valleybike","id":"7f3c9a52-11de-4b0c-9d54-0c2f5a1e6b77",` +
	`"subject":"s0a.5TqXk2mZr8vWn1bYcD4eFg","time":"2026-08-21T08:30:11Z","datacontenttype":"application/json",` +
	`"data":{"scenario":"shared-bike","start":"2026-08-21T08:15:03+08:00","end":"2026-08-21T08:27:41+08:00",` +
	`"quantities":{"distance":2.10},"evidence":"system"}}`

var rideClaim = claim.Claim{
	Partner: "valleybike", ID: "7f3c9a52-11de-4b0c-9d54-0c2f5a1e6b77", Sub: "s0a.5TqXk2mZr8vWn1bYcD4eFg", Scenario: "shared-bike",
	Start: 1787271303000000, End: 1787272061000000, Quantities: []claim.Quantity{{Name: "distance", Text: "2.1"}}, Evidence: "system",
}

func TestDecodeClaims(t *testing.T) {
	tests := []struct {
		name, body string
		form       form
		want       int
	}{
		{"single", ride, single, 1},
		{"single with space around", " \n" + ride + "\r\n", single, 1},
		{"batch", "[" + ride + "," + ride + "]", batch, 2},
		{"empty batch", "[]", batch, 0},
		{"lines", ride + "\n" + ride + "\r\n" + ride, lines, 3},
		{"lines with a last end", ride + "\n\n", lines, 1},
		{"no lines", "", lines, 0},
		{"data before type", `{"data":` + between(ride, `"data":`, `}}`) + `},` + strings.Replace(ride[1:], `,"data":`+between(ride, `"data":`, `}}`)+`}`, "", 1), single, 1},
		{"names and texts with escapes", strings.NewReplacer(`"id"`, `"\u0069d"`, `"distance"`, `"dist\u0061nce"`, `"shared-bike"`, `"shared\u002dbike"`).Replace(ride), single, 1},
		{"a number as text", strings.Replace(ride, "2.10", `" 2.1 "`, 1), single, 1},
		{"another offset", strings.Replace(ride, "08:15:03+08:00", "00:15:03Z", 1), single, 1},
		{"null for what is optional", strings.Replace(ride, `"evidence"`, `"region":null,"act":null,"object":null,"commitment":null,"evidence"`, 1), single, 1},
		{"extensions", strings.Replace(ride, `"source"`, `"traceparent":"00-af","attempt":2,"sampled":true,"none":null,"source"`, 1), single, 1},
	}
	for _, tt := range tests {
		got, err := decodeClaims([]byte(tt.body), tt.form, 10)
		if err != nil || len(got) != tt.want {
			t.Errorf("%s: got %d claims, %v; want %d", tt.name, len(got), err, tt.want)
			continue
		}
		for _, c := range got {
			if !reflect.DeepEqual(c, rideClaim) {
				t.Errorf("%s:\n got %+v\nwant %+v", tt.name, c, rideClaim)
			}
		}
	}
}

func TestDecodeQuantities(t *testing.T) {
	body := strings.Replace(ride, `{"distance":2.10}`,
		`{"steps":1e4,"mass":"0.50kg","far":1e400,"odd":"about 3","nan":"NaN","deep":0.1234567890123456789012345678901234567,"long":`+strings.Repeat("7", 1000)+`}`, 1)
	got, err := decodeClaims([]byte(body), single, 1)
	if err != nil {
		t.Fatal(err)
	}
	want := []claim.Quantity{
		{Name: "deep", Text: "0.1234567890123456789012345678901234567"}, {Name: "far", Text: "1e400"},
		{Name: "long", Text: strings.Repeat("7", 61) + "…"}, {Name: "mass", Text: "0.5 kg"},
		{Name: "nan", Text: "NaN"}, {Name: "odd", Text: "about 3"}, {Name: "steps", Text: "10000"},
	}
	if !reflect.DeepEqual(got[0].Quantities, want) {
		t.Errorf("got %q\nwant %q", got[0].Quantities, want)
	}
}

func TestDecodeRefuses(t *testing.T) {
	swap := func(old, new string) string {
		s := strings.Replace(ride, old, new, 1)
		if s == ride {
			t.Fatalf("%q is not in the event", old)
		}
		return s
	}
	tests := []struct {
		body string
		form form
		kind fault.Kind
		want string // the error begins so
	}{
		// Not JSON, or JSON that two readers could understand differently.
		{"", single, fault.Invalid, "event 0: no event"},
		{"{", single, fault.Invalid, "event 0: the JSON text ends too early"},
		{"null", single, fault.Invalid, "event 0: got null, want an object"},
		{"[]", single, fault.Invalid, "event 0: got an array, want an object"},
		{ride, batch, fault.Invalid, "event 0: got an object, want an array of events"},
		{"[" + ride, batch, fault.Invalid, "event 1: the JSON text ends too early"},
		{"[" + ride + ",]", batch, fault.Invalid, "event 1"},
		{"[" + ride + " " + ride + "]", batch, fault.Invalid, "event 1"},
		{"[" + ride + "]" + ride, batch, fault.Invalid, "event 1: something follows"},
		{ride + ride, single, fault.Invalid, "event 1: something follows"},
		{ride + "x", single, fault.Invalid, "event 1: no valid JSON at byte"},
		{ride + "\nx", lines, fault.Invalid, "event 1: no valid JSON at byte"},
		{swap(`"id":`, `"id":"other","id":`), single, fault.Invalid, "event 0, /id: no valid JSON at byte"},
		{swap(`"id":`, `"id":"other","\u0069d":`), single, fault.Invalid, "event 0, /id: no valid JSON at byte"},
		{swap(`"distance":`, `"distance":1,"distance":`), single, fault.Invalid, "event 0, /data/quantities/distance: no valid JSON"},
		{"[" + ride + "," + swap(`"distance":`, `"distance":1,"distance":`) + "]", batch, fault.Invalid, "event 1, /data/quantities/distance: no valid JSON"},
		{swap("system", "sys\xfftem"), single, fault.Invalid, "event 0, /data/evidence: no valid JSON"},
		{swap("system", `sys\ud800tem`), single, fault.Invalid, "event 0, /data/evidence: no valid JSON"},
		{swap("2.10", "NaN"), single, fault.Invalid, "event 0, /data/quantities/distance: no valid JSON"},
		{swap("2.10", "02.1"), single, fault.Invalid, "event 0, /data/quantities"},
		{swap("2.10", "0x10"), single, fault.Invalid, "event 0, /data/quantities"},
		{strings.Repeat("[", 1000), batch, fault.Invalid, "event 0"},
		{swap("{\"distance\":2.10}", strings.Repeat("[", 100_000)), single, fault.Unfit, "event 0, /data/quantities: got an array, want an object"},

		// JSON, but no CloudEvent.
		{swap(`"source":"valleybike",`, ""), single, fault.Invalid, "event 0: source is missing"},
		{swap(`"1.0"`, `"0.3"`), single, fault.Invalid, `event 0, /specversion: specversion is "0.3", want 1.0`},
		{swap(`"source":"valleybike"`, `"source":"%zz"`), single, fault.Invalid, "event 0, /source: source is no URI"},
		{swap(`"time":"2026`, `"time":"26`), single, fault.Invalid, "event 0, /time: want a time"},
		{swap(`"data":`, `"data_base64":"e30=","data":`), single, fault.Invalid, "event 0, /data: an event has data or data_base64"},
		{swap(`"id":"7`, `"id":"\u00007`), single, fault.Invalid, "event 0, /id: the text holds a control character"},
		{swap(`"time"`, `"other":{},"time"`), single, fault.Invalid, "event 0, /other: an extension's value"},
		{"[" + ride + "," + swap(`"type":"tanpu.claim.v1"`, `"type":null`) + "]", batch, fault.Invalid, "event 1, /type: want text, not null"},
		{`{"specversion":"1.0","id":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`, single, fault.Invalid, "event 0, /id: want text"},

		// A CloudEvent, but no claim.
		{swap(`tanpu.claim.v1`, `io.cloudevents.test`), single, fault.Unfit, `event 0, /type: an event of type "io.cloudevents.test" is no claim`},
		{swap(`"subject":"s0a.5TqXk2mZr8vWn1bYcD4eFg",`, ``), single, fault.Unfit, "event 0: subject is missing"},
		{swap(`"id":"7`, `"id":"`+strings.Repeat("7", 10_000)), single, fault.Unfit, "event 0, /id: longer than 256 bytes"},
		{swap(`"shared-bike"`, `"`+strings.Repeat("b", 65)+`"`), single, fault.Unfit, "event 0, /data/scenario: longer than 64 bytes"},
		{swap(`"scenario":"shared-bike",`, ``), single, fault.Unfit, "event 0, /data: scenario is missing"},
		{swap(`08:15:03+08:00`, `08:15:03`), single, fault.Unfit, "event 0, /data/start: want a time of RFC 3339"},
		{swap(`08:15:03+08:00`, `08:15:03.0000001Z`), single, fault.Unfit, "event 0, /data/start: times are kept to the microsecond"},
		{swap(`"2026-08-21T08:27:41+08:00"`, `1787272061`), single, fault.Unfit, "event 0, /data/end: want a time"},
		{swap(`"evidence":"system"`, `"evidence":1`), single, fault.Unfit, "event 0, /data/evidence: want text"},
		{swap(`"evidence":"system"`, `"evidence":"a\u0000b"`), single, fault.Unfit, "event 0, /data/evidence: the text holds a control character"},
		{swap(`"evidence"`, `"evidnce"`), single, fault.Unfit, `event 0, /data/evidnce: a claim has no "evidnce"`},
		{swap(`"evidence"`, `"commitment":"abc","evidence"`), single, fault.Unfit, "event 0, /data/commitment: want a SHA-256"},
		{swap(`2.10`, `true`), single, fault.Unfit, "event 0, /data/quantities/distance: got true, want a number"},
		{swap(`2.10`, `{"value":2.1}`), single, fault.Unfit, "event 0, /data/quantities/distance: got an object, want a number"},
		{swap(`{"distance":2.10}`, `[2.1]`), single, fault.Unfit, "event 0, /data/quantities: got an array, want an object"},
		{swap(`application/json`, `text/plain`), single, fault.Unfit, "event 0, /datacontenttype: a claim's data is JSON"},
		{`{"data":{"scenario":7},"specversion":"1.0","type":"tanpu.claim.v1","source":"p","id":"1","subject":"s"}`, single, fault.Unfit, "event 0, /data/scenario: want text"},
		{`{"data":7,"specversion":"1.0","type":"tanpu.claim.v1","source":"p","id":"1","subject":"s"}`, single, fault.Unfit, "event 0, /data: got a number, want an object"},
		{`{"data_base64":"e30=","specversion":"1.0","type":"tanpu.claim.v1","source":"p","id":"1","subject":"s"}`, single, fault.Unfit, "event 0, /data_base64: a claim's data is JSON"},
		{"[" + ride + "," + ride + "," + ride + "]", batch, fault.TooLarge, "a request may carry up to 2 events"},
	}
	for _, tt := range tests {
		claims, err := decodeClaims([]byte(tt.body), tt.form, 2)
		if claims != nil || err == nil || fault.KindOf(err) != tt.kind || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%.300s\n got %v (%s)\nwant %s… (%s)", tt.body, err, fault.KindOf(err), tt.want, tt.kind)
		}
		if err != nil && len(err.Error()) > 1000 {
			t.Errorf("%.300s: an error of %d bytes", tt.body, len(err.Error()))
		}
	}
}

// The conformance vectors of the CloudEvents project: what is valid is refused only for being no claim.
func TestCloudEventsVectors(t *testing.T) {
	dir := "../../shared/data/vectors/cloudevents-json"
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the conformance vectors lie outside the project and are absent")
	}
	tests := []struct {
		file, member string
		form         form
		kind         fault.Kind
	}{
		{"valid-events.json", "event", single, fault.Unfit},
		{"valid-batches.json", "batch", batch, fault.Unfit},
		{"invalid-events.json", "event", single, fault.Invalid},
		{"invalid-batches.json", "batch", batch, fault.Invalid},
	}
	for _, tt := range tests {
		text, err := os.ReadFile(filepath.Join(dir, tt.file))
		if err != nil {
			t.Fatal(err)
		}
		var vectors struct{ Tests []map[string]json.RawMessage }
		if err := json.Unmarshal([]byte(strings.TrimPrefix(string(text), "\ufeff")), &vectors); err != nil {
			t.Fatal(err)
		}
		for _, v := range vectors.Tests {
			_, err := decodeClaims(v[tt.member], tt.form, 10)
			if string(v["id"]) == `"validBatchEmpty"` {
				if err != nil {
					t.Errorf("%s: %v", v["id"], err)
				}
				continue
			}
			if got := fault.KindOf(err); got != tt.kind {
				t.Errorf("%s: got %v (%s), want %s", v["id"], err, got, tt.kind)
			}
			var at *EventError
			if !errors.As(err, &at) {
				t.Errorf("%s: %v does not say which event", v["id"], err)
			}
		}
	}
}

func TestAppendEvent(t *testing.T) {
	full := rideClaim
	full.Region, full.Act, full.Object, full.Commitment = "CN-420100", `a "quoted" act`, "电表 7", strings.Repeat("0a", 32)
	full.Start++
	full.Quantities = []claim.Quantity{{Name: "a", Text: "1"}, {Name: "b", Text: "2100 m"}}
	for _, c := range []claim.Claim{rideClaim, full} {
		got, err := decodeClaims(claim.AppendEvent(nil, &c), single, 1)
		if err != nil || !reflect.DeepEqual(got[0], c) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, c)
		}
	}
}

// Whatever the bytes: no panic, a marked error of bounded length, and claims that are read again from what they are written as.
func FuzzDecodeClaims(f *testing.F) {
	f.Add([]byte(ride), byte(single))
	f.Add([]byte("["+ride+","+ride+"]"), byte(batch))
	f.Add([]byte(ride+"\n"+ride), byte(lines))
	f.Add([]byte(`{"data":{"quantities":{"a":1e400}},"type":"tanpu.claim.v1"}`), byte(single))
	f.Fuzz(func(t *testing.T, body []byte, kind byte) {
		claims, err := decodeClaims(body, form(kind%3), 100)
		if err != nil {
			if fault.KindOf(err) == "" || len(err.Error()) > 1500 || claims != nil {
				t.Fatalf("%d claims, %v", len(claims), err)
			}
			return
		}
		for _, c := range claims {
			again, err := decodeClaims(claim.AppendEvent(nil, &c), single, 1)
			if err != nil {
				t.Fatalf("%+v: %v", c, err)
			}
			if len(c.Quantities) == 0 {
				c.Quantities, again[0].Quantities = nil, nil
			}
			if !reflect.DeepEqual(again[0], c) {
				t.Fatalf("\n got %+v\nwant %+v", again[0], c)
			}
		}
	})
}

func BenchmarkDecodeClaims(b *testing.B) {
	body := []byte("[" + strings.Repeat(ride+",", 499) + ride + "]")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for range b.N {
		if _, err := decodeClaims(body, batch, 1000); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*500), "ns/event")
}

func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}
