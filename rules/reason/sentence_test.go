package reason

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSentence(t *testing.T) {
	ops := func(o Operands) Case { return Case{Operands: o} }
	tests := []struct {
		code     Code
		audience Audience
		lang     Lang
		c        Case
		want     string
	}{
		{OK, Member, ZH, Case{Grams: "195.9 克", Points: "19.5"}, "已计入 195.9 克，+19.5 积分。"},
		{OK, Member, EN, Case{Grams: "195.9 g"}, "195.9 g credited."},
		{OK, Partner, EN, Case{Milligrams: "195930"}, "Accepted, 195930 mg."},
		{OK, Partner, ZH, Case{}, "已接受。"},
		{OK, Partner, EN, Case{Trimmed: true}, "Trimmed to what was left."},
		{OK, Member, ZH, Case{Trimmed: true}, "部分计入。"},
		{IDReused, Partner, EN, Case{ID: "a1"}, "a1 has other content. Use a new id."},
		{IDReused, Partner, EN, Case{}, "Use a new id."},
		{LinkRevoked, Partner, EN, Case{}, "Stop reporting."},
		{LinkRevoked, Member, ZH, Case{}, "不再计入。可恢复。"},
		{ProgrammeClosed, Partner, EN, Case{Programme: "demo-city", Time: "2026-08-21T00:15:03Z"}, "demo-city not open at 2026-08-21T00:15:03Z."},
		{ProgrammeClosed, Partner, EN, Case{Time: "2026-08-21T00:15:03Z"}, "Not open at 2026-08-21T00:15:03Z."},
		{ProgrammeClosed, Partner, EN, Case{}, "Not open."},
		{ProgrammeClosed, Member, EN, Case{Day: "21 Aug"}, "Not open on 21 Aug."},
		{ProgrammeClosed, Member, ZH, Case{Day: "8月21日"}, "8月21日未开放。"},
		{UnknownMethodology, Member, EN, ops(Operands{From: "2 Sep"}), "It counts from 2 Sep."},
		{BadTime, Partner, EN, ops(Operands{Limit: "12 h"}), "End before start, or longer than 12 h."},
		{BadTime, Partner, EN, Case{}, "End before start."},
		{BadTime, Partner, ZH, Case{}, "结束早于开始。"},
		{BadTime, Partner, EN, ops(Operands{Field: "start", Got: "2026-08-01T00:01:00+08:00", Want: "whole month"}), "Start and end must span one whole period, in local time."},
		{TooLate, Member, EN, Case{Partner: "Valleybike", Operands: Operands{Got: "40 days"}}, "Valleybike reported after 40 days. You may object."},
		{TooLate, Member, ZH, ops(Operands{Limit: "30 天"}), "期限 30 天。可提异议。"},
		{BadEvidence, Partner, EN, ops(Operands{Want: "system, self"}), "Want system, self."},
		{BadQuantity, Partner, EN, ops(Operands{Field: "distance", Got: "1e400", Want: "a number in km"}), "distance: got 1e400, want a number in km."},
		{BadQuantity, Partner, EN, ops(Operands{Field: "distance", Want: "a number in km"}), "distance: want a number in km."},
		{BadQuantity, Partner, EN, ops(Operands{Field: "distance"}), "distance."},
		{NoHistory, Member, EN, ops(Operands{Until: "Sep 2027"}), "Saved. First credit Sep 2027."},
		{NoHistory, Member, EN, ops(Operands{Need: "2025-08"}), "Saved. Comparing needs 2025-08."},
		{BelowMinimum, Partner, ZH, ops(Operands{Field: "distance", Got: "0.05 km", Limit: "0.1 km"}), "distance 0.05 km < 0.1 km"},
		{BelowMinimum, Partner, ZH, Case{}, "未达起点。"},
		{AboveMaximum, Member, EN, ops(Operands{Field: "Distance", Got: "60 km"}), "Distance 60 km. If right, object."},
		{Implausible, Partner, EN, ops(Operands{Got: "36 km/h"}), "Got 36 km/h."},
		{Overlap, Member, ZH, ops(Operands{Other: "武汉地铁"}), "已通过武汉地铁计入，同一行为只计一次。"},
		{CapReached, Partner, EN, ops(Operands{Limit: "20 claims a day"}), "Limit 20 claims a day reached."},
		{Retry, Partner, EN, Case{}, "Not judged; send it again."},
	}
	for _, tt := range tests {
		if got := Sentence(tt.code, tt.audience, tt.lang, &tt.c); got != tt.want {
			t.Errorf("%s, audience %d, language %d, %+v:\n got %q\nwant %q", tt.code, tt.audience, tt.lang, tt.c, got, tt.want)
		}
	}
}

// Every reason has words for every audience in every language, whatever is missing.
func TestSentenceOfEverything(t *testing.T) {
	full := Case{}
	fill(reflect.ValueOf(&full).Elem())
	full.Trimmed = false
	for _, code := range append(All, Retry) {
		for _, audience := range []Audience{Member, Partner} {
			for _, lang := range []Lang{ZH, EN} {
				for _, c := range []Case{full, {}, {Trimmed: true}} {
					s := Sentence(code, audience, lang, &c)
					if s == "" || strings.ContainsAny(s, "{}|") || strings.Contains(s, "  ") || s != strings.TrimSpace(s) {
						t.Errorf("%s, audience %d, language %d: %q", code, audience, lang, s)
					}
					if r, _ := utf8.DecodeLastRuneInString(s); strings.ContainsRune("，；：,;:", r) {
						t.Errorf("%s, audience %d, language %d: %q breaks off", code, audience, lang, s)
					}
					if audience == Partner && strings.Contains(s, "<Other>") {
						t.Errorf("%s tells a partner who else reported: %q", code, s)
					}
				}
				if Label(code, lang, false) == "" {
					t.Errorf("%s has no label in language %d", code, lang)
				}
			}
		}
	}
}

func fill(v reflect.Value) {
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Struct:
			fill(f)
		case reflect.String:
			f.SetString("<" + v.Type().Field(i).Name + ">")
		}
	}
}

// The sentences are those that the design agreed on, which lies outside the project.
func TestSentencesOfTheDesign(t *testing.T) {
	text, err := os.ReadFile("../../../shared/design-system.md")
	if err != nil {
		t.Skip("the design lies outside the project and is absent")
	}
	c := Case{}
	for name, field := range map[string]*string{
		"g": &c.Grams, "n": &c.Points, "mg": &c.Milligrams, "p": &c.Partner, "d": &c.Day, "t": &c.Time, "programme": &c.Programme, "area": &c.Area,
		"s": &c.Scenario, "object": &c.Object, "id": &c.ID, "field": &c.Field, "got": &c.Got, "limit": &c.Limit, "want": &c.Want, "need": &c.Need,
		"from": &c.From, "until": &c.Until, "rule": &c.Rule, "other": &c.Other,
	} {
		*field = "{" + name + "}"
	}
	row := regexp.MustCompile(`(?m)^\| ([a-z-]+)(, trimmed)? (\S+) ([A-Z][^|]*?)(?: \(hidden\))? \| (.*?) \| (.*?) \|$`)
	found := row.FindAllStringSubmatch(string(text), -1)
	if len(found) != len(All)+1 {
		t.Fatalf("found %d rows, want one for each of %d codes and one for trimmed", len(found), len(All))
	}
	for _, m := range found {
		code := Code(m[1])
		c.Trimmed = m[2] != ""
		if zh, en := Label(code, ZH, c.Trimmed), Label(code, EN, c.Trimmed); zh != m[3] || en != m[4] {
			t.Errorf("%s: labels %q, %q; the design has %q, %q", code, zh, en, m[3], m[4])
		}
		for audience, cell := range map[Audience]string{Member: m[5], Partner: m[6]} {
			zh, en, two := strings.Cut(cell, " · ")
			if !two {
				en = zh
			}
			if got := Sentence(code, audience, ZH, &c); got != zh {
				t.Errorf("%s: got %q, the design has %q", code, got, zh)
			}
			if got := Sentence(code, audience, EN, &c); got != en {
				t.Errorf("%s: got %q, the design has %q", code, got, en)
			}
		}
	}
}

func BenchmarkSentence(b *testing.B) {
	c := Case{Milligrams: "195930"}
	b.ReportAllocs()
	for range b.N {
		Sentence(OK, Partner, EN, &c)
	}
}
