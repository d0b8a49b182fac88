package rulebook

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tanpu/tanpu/rules/document"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/methodology"
)

// Kinds of documents that are about a restatement: the one that orders it, and the one that says what it came to.
const (
	Restating = "restatement"
	Restated  = "restated"
)

// A Restatement orders that acts which began within some days be judged by another text than those that were in force
// then: from its publication on whatever is reported or corrected of them, and what was recorded before, account by
// account. A version of the methodology that is published later holds from its own first day on, as ever.
type Restatement struct {
	Name     string
	Reason   string
	Method   string   // id@version of the text
	Hash     [32]byte // of the text
	From, To string   // local days of the text's zone: the first, and the first after; "" for open
	Rulebook int64    // the last one that it was tried by: groups and factors that the text names are of it
	Report   [32]byte // hash of the report of trying it, as JSON
	Text     []byte
}

// parted is what stands between the order and the text.
const parted = "\n---\n"

// Document is the restatement's text: what it orders, as YAML, and then the methodology's text to the byte.
func (r *Restatement) Document() []byte {
	var b bytes.Buffer
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	line("restatement", r.Name)
	line("reason", strconv.Quote(r.Reason))
	line("methodology", strconv.Quote(r.Method))
	line("sha256", strconv.Quote(hex.EncodeToString(r.Hash[:])))
	line("from", r.From)
	line("to", r.To)
	line("rulebook", strconv.FormatInt(r.Rulebook, 10))
	line("report", strconv.Quote(hex.EncodeToString(r.Report[:])))
	return append(append(b.Bytes(), parted[1:]...), r.Text...)
}

// ParseRestatement reads what Document wrote, and nothing else.
func ParseRestatement(file string, text []byte) (*Restatement, error) {
	order, method, ok := bytes.Cut(text, []byte(parted))
	if !ok {
		return nil, fault.New(fault.Invalid, "%s: a restatement is an order, a line of three hyphens, and a methodology's text", file)
	}
	doc, root := document.Read(file, append(bytes.Clone(order), '\n'))
	f := root.Fields()
	r := &Restatement{Text: bytes.Clone(method)}
	r.Name, _ = f.Need("restatement").Word()
	r.Reason, _ = f.Need("reason").String()
	r.Method, _ = f.Need("methodology").String()
	readHash(f.Need("sha256"), &r.Hash)
	r.From, _ = f.Need("from").String()
	if to := f.Take("to"); to.Present() {
		r.To, _ = to.String()
	}
	r.Rulebook, _ = f.Need("rulebook").Int(1, 1<<53)
	readHash(f.Need("report"), &r.Report)
	f.Close()
	if err := doc.Err(); err != nil {
		return nil, err
	}
	if !bytes.Equal(r.Document(), text) {
		return nil, fault.New(fault.Invalid, "%s: the restatement is not written as it should be", file)
	}
	return r, nil
}

func readHash(v document.Value, h *[32]byte) {
	text, ok := v.String()
	b, err := hex.DecodeString(text)
	if ok && (err != nil || len(b) != len(h) || strings.ToLower(text) != text) {
		v.Errorf("a hash has 64 hexadecimal digits, in lower case")
		return
	}
	copy(h[:], b)
}

// Days are the instants between which an act must begin; a zero to is open.
func (r *Restatement) Days(zone *time.Location) (from, to time.Time, err error) {
	if from, err = time.ParseInLocation(time.DateOnly, r.From, zone); err == nil && r.To != "" {
		to, err = time.ParseInLocation(time.DateOnly, r.To, zone)
	}
	return from, to, err
}

// restate puts a restatement into a rulebook, as the one of its number.
func (b *Rulebook) restate(number int64, r *Restatement, later *methodology.Library) (*Rulebook, error) {
	with, m, err := b.put(r.Name+"."+Restating+".yaml", r.Text, later)
	if err != nil {
		return nil, err
	}
	if m.Name() != r.Method || m.Hash != r.Hash {
		return nil, fmt.Errorf("restatement %s orders %s, and holds the text of %s", r.Name, r.Method, m.Name())
	}
	from, to, err := r.Days(m.Zone)
	if err != nil {
		return nil, err
	}
	with.insteads = append(with.insteads, &instead{m, from, to, number})
	with.Restated = number
	return with, nil
}
