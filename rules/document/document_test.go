package document

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	_ "time/tzdata" // the tests need zones wherever they run

	"github.com/tanpu/tanpu/rules/quantity"
)

// TestRead reads what cannot be read, and where it is said to go wrong.
func TestRead(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", "f:1:1: this file is empty"},
		{"a comment", "# nothing yet\n", "f:1:1: this file is empty"},
		{"a list", "- a\n- b\n", "f:1:1: a document is made of lines such as “id: …”"},
		{"a word", "hello", "f:1:1: a document is made of lines such as “id: …”"},
		{"two documents", "a: 1\n---\nb: 2\n", "f:2:1: a second document begins here; a file holds one"},
		{"an open bracket", "a: 1\nb: [1, 2\nc: 3\n", "f:2:1: near this line the YAML cannot be read: did not find expected ',' or ']'"},
		{"a tab", "a:\n\tb: 1\n", "f:2:2: near this line the YAML cannot be read: found character that cannot start any token"},
		{"Latin-1", "a: caf\xe9\n", "f:1:7: this is not UTF-8; save the file as UTF-8"},
		{"Latin-1, later", "a: 碳\nb: 普\xff\n", "f:2:5: this is not UTF-8; save the file as UTF-8"},
		{"a null byte", "a: x\x00y\n", "f:1:5: an invisible character, U+0000; take it out"},
		{"an anchor", "a: &x 1\nb: 2\n", "f:1:4: &x: an anchor; write the value out where it is needed"},
		{"an alias", "a: 1\nb: *x\n", "f:2:4: *x: an alias; write the value out, so that the text says all that it means"},
		{"a tag", "a: !!binary aGk=\n", "f:1:4: !!binary: a tag; leave it out"},
		{"a key twice", "a: 1\nb: 2\na: 3\n", `f:3:1: "a" is here a second time; the first is on line 1`},
		{"a list as key", "a: 1\n? [x, y]\n: 2\n", "f:2:3: a key must be a name"},
		{"too deep", "a: " + strings.Repeat("[", 40) + strings.Repeat("]", 40), "f:1:20: this is nested more than 16 deep"},
		{"too large", "a: " + strings.Repeat("x", MaxSize), "f:1:1: this file is larger than 1 MiB; split it"},
		{"bottomless", strings.Repeat("[", 100_000), "f:1:1: near this line the YAML cannot be read: exceeded max depth of 10000"},
	} {
		doc, root := Read("f", []byte(tt.text))
		if err := doc.Err(); err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
		if tt.name != "a key twice" && root.Present() {
			t.Errorf("%s: something can be read", tt.name)
		}
	}
}

// An absent value gives nothing and says nothing, since its absence was said already.
func TestAbsent(t *testing.T) {
	doc, _ := Read("f", []byte("a: 1"))
	v := Value{doc: doc}
	v.String()
	v.Int(0, 1)
	v.Bool()
	v.Decimal()
	v.Unit()
	v.Quantity()
	v.Duration()
	v.Date(time.UTC)
	v.Zone()
	v.Text()
	v.Texts()
	v.Items()
	v.OneOf("x")
	v.Region()
	v.Word()
	f := v.Fields()
	f.Need("a").String()
	f.Close()
	v.Errorf("no")
	v.ErrorAt(3, "no")
	if err := doc.Err(); err != nil || v.Present() {
		t.Errorf("an absent value says %v", err)
	}
}

func TestValues(t *testing.T) {
	text := `
string: hello
int: 42
bool: true
decimal: 0.50
unit: gCO2e/km
quantity: 2.1 km
duration: 90s
date: 2024-09-02
zone: Asia/Shanghai
text: {zh: 碳, en: carbon}
texts: [one, {zh: 二, en: two}]
region: CN-42
word: shared-bike
`
	doc, root := Read("f", []byte(text))
	f := root.Fields()
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	var got []any
	add := func(v any, ok bool) { got = append(got, v, ok) }
	s, ok := f.Need("string").String()
	add(s, ok)
	n, ok := f.Need("int").Int(0, 50)
	add(n, ok)
	b, ok := f.Need("bool").Bool()
	add(b, ok)
	a, ok := f.Need("decimal").Decimal()
	add(a, ok)
	u, ok := f.Need("unit").Unit()
	add(u.Name, ok)
	q, qu, ok := f.Need("quantity").Quantity()
	add(q.String()+" "+qu.Name, ok)
	d, ok := f.Need("duration").Duration()
	add(d, ok)
	day, ok := f.Need("date").Date(shanghai)
	add(day.UTC().Format(time.RFC3339), ok)
	zone, ok := f.Need("zone").Zone()
	add(zone.String(), ok)
	txt, ok := f.Need("text").Text()
	add(txt.In("zh")+txt.In("en"), ok && !txt.IsZero())
	add(f.Need("texts").Texts(), true)
	region, ok := f.Need("region").Region()
	add(region, ok)
	word, ok := f.Need("word").Word()
	add(word, ok)
	f.Close()
	want := []any{"hello", true, int64(42), true, true, true, quantity.Rat{}, true, "gCO2e/km", true, "2.1 km", true,
		90 * time.Second, true, "2024-09-01T16:00:00Z", true, "Asia/Shanghai", true, "碳carbon", true, []Text{{"one", "one"}, {"二", "two"}}, true,
		"CN-42", true, "shared-bike", true}
	half, _ := quantity.ParseRat("0.5")
	want[6] = half
	if fmt.Sprint(got) != fmt.Sprint(want) || doc.Err() != nil {
		t.Errorf("read %v (%v), want %v", got, doc.Err(), want)
	}
}

// A place inside a text is found however the text is quoted, as long as it stands in the file as it is.
func TestErrorAt(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"a: one + two", "f:1:10: here"},
		{"a: 'one + two'", "f:1:11: here"},
		{`a: "one + two"`, "f:1:11: here"},
		{"碳: {普: one + two}", "f:1:14: here"},
		{"a: |\n    one +\n    two", "f:3:5: here"},
		{"a: >\n    one +\n    two", "f:1:4: here"},
		{"a: one +\n   two", "f:1:4: here"},
		{`a: "one\x20+ two"`, "f:1:4: here"},
	} {
		doc, root := Read("f", []byte(tt.text))
		v := root.Entries()[0].Value
		if v.IsMapping() {
			v = v.Entries()[0].Value
		}
		v.ErrorAt(6, "here")
		if err := doc.Err(); err == nil || err.Error() != tt.want {
			t.Errorf("%q: %v, want %s", tt.text, err, tt.want)
		}
	}
}

func TestErrorsAreBounded(t *testing.T) {
	var text strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&text, "key%d: 1\n", i)
	}
	doc, root := Read("f", []byte(text.String()))
	f := root.Fields()
	f.Take("kex")
	f.Close()
	if errs, ok := doc.Err().(Errors); !ok || len(errs) != maxErrors {
		t.Errorf("%d errors, want %d", len(errs), maxErrors)
	}
}

func TestMeant(t *testing.T) {
	for _, tt := range []struct{ word, want string }{
		{"titel", `; did you mean "title"?`}, {"Title", `; did you mean "title"?`}, {"tilte", `; did you mean "title"?`},
		{"x", ""}, {"nothing", ""}, {"", ""}, {strings.Repeat("t", 5000), ""},
	} {
		if got := Meant(tt.word, []string{"title", "id", "version"}); got != tt.want {
			t.Errorf("Meant(%.10q) = %s, want %s", tt.word, got, tt.want)
		}
	}
}

// TestReadAgain reads a text that is known by then: what is wrong with it is told of the file at hand, and of nobody else's.
func TestReadAgain(t *testing.T) {
	mistake := func(file, text string) string {
		doc, root := Read(file, []byte(text))
		f := root.Fields()
		f.Need("a").Int(1, 9)
		f.Close()
		return fmt.Sprint(doc.Err())
	}
	if got := mistake("first", "a: 1\n"); got != "<nil>" {
		t.Fatal(got)
	}
	want := mistake("second", "a: 10\nb: 2\n")
	if !strings.HasPrefix(want, "second:1:4: ") {
		t.Fatal(want)
	}
	var wait sync.WaitGroup
	for _, file := range []string{"third", "fourth"} {
		wait.Go(func() {
			if got := mistake(file, "a: 10\nb: 2\n"); got != strings.ReplaceAll(want, "second", file) {
				t.Error(got)
			}
		})
	}
	wait.Wait()
	if got := mistake("first", "a: 1\n"); got != "<nil>" {
		t.Error(got)
	}
}

// TestKnown keeps so much and no more.
func TestKnown(t *testing.T) {
	var k texts
	for i := range 10 {
		k.keep([32]byte{byte(i)}, text{}, maxKnown/4)
	}
	if len(k.read) > 4 || k.size > maxKnown {
		t.Errorf("%d texts of %d bytes are kept", len(k.read), k.size)
	}
	if _, ok := k.find([32]byte{9}); !ok {
		t.Error("the last one is not")
	}
	k.keep([32]byte{10}, text{}, maxKnown+1)
	if _, ok := k.find([32]byte{10}); ok {
		t.Error("one is kept that is too large")
	}
}
