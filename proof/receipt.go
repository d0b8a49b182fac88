package proof

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/record"
)

// ReceiptForm is the first field of a receipt, and names its version.
const ReceiptForm = "tanpu-receipt/1"

// MaxReceipt bounds the bytes of a receipt: the texts of a programme and its methodology, and little else.
const MaxReceipt = 4 << 20

// A Receipt is everything that it takes to check one claim's verdict without asking anybody. docs/receipts.md
// describes it. It holds no account number, and nothing of any other claim but hashes.
type Receipt struct {
	Form      string            `json:"receipt"`
	Claim     ReceiptClaim      `json:"claim"`
	Verdict   ReceiptVerdict    `json:"verdict"`
	Again     *ReceiptAgain     `json:"again,omitempty"`
	Private   *ReceiptPrivate   `json:"private,omitempty"`
	Salt      record.Hash       `json:"salt"` // of the claim's leaf
	Batch     ReceiptBatch      `json:"batch"`
	Log       ReceiptLog        `json:"log"`
	Testimony *ReceiptTestimony `json:"testimony,omitempty"` // absent where nobody signed the report, as of an import
	Documents []ReceiptDocument `json:"documents"`           // in order of their rulebooks
	Working   Working           `json:"working"`
}

// A ReceiptClaim is the claim as the partner reported it.
type ReceiptClaim struct {
	Partner    string            `json:"partner"`
	ID         string            `json:"id"`
	Sub        string            `json:"sub"`
	Scenario   string            `json:"scenario"`
	Start      int64             `json:"start"` // µs UTC
	End        int64             `json:"end"`
	Quantities map[string]string `json:"quantities,omitempty"`
	Evidence   string            `json:"evidence,omitempty"`
	Region     string            `json:"region,omitempty"`
	Act        string            `json:"act,omitempty"`
	Object     string            `json:"object,omitempty"`
	Commitment string            `json:"commitment,omitempty"`
}

// A ReceiptVerdict is what became of it.
type ReceiptVerdict struct {
	Reason       reason.Code     `json:"reason"`
	Operands     reason.Operands `json:"operands"` // but for Other, which is private
	Programme    string          `json:"programme"`
	Method       string          `json:"method,omitempty"`
	MethodSHA256 *record.Hash    `json:"method_sha256,omitempty"`
	Reduction    int64           `json:"reduction_mg"`
	Points       int64           `json:"points_thousandths"`
	Holder       string          `json:"holder"` // nobody, member or applicant
}

// ReceiptAgain says in whose place the claim was judged, and by what: not by its batch's instant and rulebook. Its batch
// is then a correction.
type ReceiptAgain struct {
	Of       string `json:"of"`
	At       int64  `json:"at"`
	Rulebook int64  `json:"rulebook"`
	Backfill bool   `json:"backfill,omitempty"`
	Restated int64  `json:"restated,omitempty"` // the last restatement that was taken in besides those of the rulebook
}

// ReceiptPrivate is what only the member may see of a verdict: who else reported the act, and the earlier
// values, factors and usage that it was judged by. A partner's receipt has its hash instead.
type ReceiptPrivate struct {
	Hash  *record.Hash `json:"hash,omitempty"`
	Salt  *record.Hash `json:"salt,omitempty"`
	Other string       `json:"other,omitempty"`
	Used  []ReceiptUse `json:"used,omitempty"`
}

// A ReceiptUse is a value that the verdict depends on and the claim does not contain.
type ReceiptUse struct {
	What  string `json:"what"`
	Value string `json:"value"`
}

// A ReceiptBatch is the claim's batch as the log has it, and the path from the claim's leaf to its root.
type ReceiptBatch struct {
	Entry record.Batch `json:"entry"`
	Path  []Step       `json:"path"`
}

// A Step joins a hash on one side.
type Step struct {
	Left  *record.Hash `json:"left,omitempty"`
	Right *record.Hash `json:"right,omitempty"`
}

// A ReceiptLog leads from the batch's entry to a signed head.
type ReceiptLog struct {
	Before     int              `json:"before,omitempty"` // how many logs back the entry is: see Earlier
	Place      int64            `json:"place"`
	Path       []record.Hash    `json:"path"`
	Checkpoint string           `json:"checkpoint"`
	Keys       []string         `json:"keys"`              // vkeys of the log that signed it
	Witnesses  []string         `json:"witnesses"`         // vkeys of the witnesses that did
	Earlier    []ReceiptEarlier `json:"earlier,omitempty"` // logs that this one goes on from, the last one first
}

// A ReceiptEarlier leads from a log to the one that it goes on from: its first entry cites that one's head. So the heads of
// a log whose key was stolen need not be believed.
type ReceiptEarlier struct {
	Entry record.Origin `json:"entry"`
	Path  []record.Hash `json:"path"`
}

// A ReceiptTestimony shows that the partner said the claim: its signature over a request, and the path from the claim's
// leaf to the root that was signed. Of the request's other claims it shows salted hashes.
type ReceiptTestimony struct {
	Public    string      `json:"public"`    // the Ed25519 key, in hexadecimal digits
	Base      string      `json:"base"`      // the text that was signed (RFC 9421 §2.5)
	Signature string      `json:"signature"` // in hexadecimal digits
	Salt      record.Hash `json:"salt"`
	Path      []Step      `json:"path"`
}

// A ReceiptDocument is a text that the verdict was found by, and its place in the log.
type ReceiptDocument struct {
	Entry  record.Document `json:"entry"`
	Before int             `json:"before,omitempty"` // how many logs back it is
	Place  int64           `json:"place"`
	Path   []record.Hash   `json:"path"`
	Text   string          `json:"text"`
}

// Working is the arithmetic, line by line; "" where it did not come to that.
type Working struct {
	ZH string `json:"zh"`
	EN string `json:"en"`
}

// Encode writes a receipt.
func (r *Receipt) Encode() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		panic(err) // plain structs of texts and numbers
	}
	return b.Bytes()
}

// ParseReceipt reads what Encode wrote, be it with other white space, and nothing else: no further fields, none
// twice, none in another order.
func ParseReceipt(text []byte) (*Receipt, error) {
	if len(text) > MaxReceipt {
		return nil, fmt.Errorf("a receipt of %d bytes, more than %d", len(text), MaxReceipt)
	}
	var r Receipt
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("this is no receipt: %w", err)
	}
	if r.Form != ReceiptForm {
		return nil, fmt.Errorf("this is no receipt of the form %s", ReceiptForm)
	}
	r.whole()
	var given, ours bytes.Buffer
	if err := errors.Join(json.Compact(&given, text), json.Compact(&ours, r.Encode())); err != nil {
		return nil, err
	}
	if !bytes.Equal(given.Bytes(), ours.Bytes()) {
		return nil, errors.New("this receipt was changed: it has fields that Tanpu does not write, or not as it writes them")
	}
	return &r, nil
}

// whole makes lists of those that are null, which Encode never writes.
func (r *Receipt) whole() {
	r.Batch.Path = append([]Step{}, r.Batch.Path...)
	r.Log.Path = append([]record.Hash{}, r.Log.Path...)
	r.Log.Keys = append([]string{}, r.Log.Keys...)
	r.Log.Witnesses = append([]string{}, r.Log.Witnesses...)
	for i := range r.Log.Earlier {
		r.Log.Earlier[i].Path = append([]record.Hash{}, r.Log.Earlier[i].Path...)
	}
	if r.Testimony != nil {
		r.Testimony.Path = append([]Step{}, r.Testimony.Path...)
	}
	r.Documents = append([]ReceiptDocument{}, r.Documents...)
	for i := range r.Documents {
		r.Documents[i].Path = append([]record.Hash{}, r.Documents[i].Path...)
	}
}

// holders are the words for who received a reduction.
var holders = map[string]ledger.Holder{"nobody": 0, "member": 1, "applicant": ledger.Applicant}

// HolderName is the word for who received a reduction: nobody, the member or the applicant.
func HolderName(h ledger.Holder) string {
	switch {
	case h == ledger.Applicant:
		return "applicant"
	case h > 0:
		return "member"
	}
	return "nobody"
}

// OfRow writes down a recorded claim and its verdict, without what is private.
func (r *Receipt) OfRow(row *claim.Row) {
	c, v := row.Claim, &row.Verdict
	r.Claim = ReceiptClaim{Partner: c.Partner, ID: c.ID, Sub: c.Sub, Scenario: c.Scenario, Start: c.Start, End: c.End,
		Evidence: c.Evidence, Region: c.Region, Act: c.Act, Object: c.Object, Commitment: c.Commitment}
	for _, q := range c.Quantities {
		if r.Claim.Quantities == nil {
			r.Claim.Quantities = map[string]string{}
		}
		r.Claim.Quantities[q.Name] = q.Text
	}
	r.Verdict = ReceiptVerdict{Reason: v.Reason, Operands: v.Operands, Programme: row.Programme, Method: v.Method,
		Reduction: v.Milligrams, Points: v.Points, Holder: HolderName(row.Holder)}
	r.Verdict.Operands.Other = ""
	if a := row.Again; a != nil {
		r.Again = &ReceiptAgain{Of: a.Of.String(), At: a.At, Rulebook: a.Rulebook, Backfill: a.Backfill, Restated: a.Restated}
	}
	if row.Method != nil {
		h := record.Hash(row.Method.Hash)
		r.Verdict.MethodSHA256 = &h
	}
}

// Tell adds what is private, for the member; Withhold its hash, for everybody else.
func (r *Receipt) Tell(row *claim.Row, salt [32]byte) {
	if claim.Private(row) == "" {
		return
	}
	r.Private = &ReceiptPrivate{Salt: (*record.Hash)(&salt), Other: row.Verdict.Operands.Other}
	for _, u := range row.Used {
		r.Private.Used = append(r.Private.Used, ReceiptUse{u.What, u.Value})
	}
}

// Withhold puts the hash of what is private into the receipt.
func (r *Receipt) Withhold(row *claim.Row, salt [32]byte) {
	if text := claim.Private(row); text != "" {
		h := record.Hash(claim.PrivateHash(salt, text))
		r.Private = &ReceiptPrivate{Hash: &h}
	}
}

// Withheld reports whether there is something private that the receipt does not tell.
func (r *Receipt) Withheld() bool { return r.Private != nil && r.Private.Salt == nil }

// row is the recorded claim that the receipt tells of, and the hash of what is private. The account that it is of
// has number 1 in it.
func (r *Receipt) row() (*claim.Row, ledger.Hash, error) {
	c := &claim.Claim{Partner: r.Claim.Partner, ID: r.Claim.ID, Sub: r.Claim.Sub, Scenario: r.Claim.Scenario, Start: r.Claim.Start, End: r.Claim.End,
		Evidence: r.Claim.Evidence, Region: r.Claim.Region, Act: r.Claim.Act, Object: r.Claim.Object, Commitment: r.Claim.Commitment}
	for _, name := range slices.Sorted(maps.Keys(r.Claim.Quantities)) {
		c.Quantities = append(c.Quantities, claim.Quantity{Name: name, Text: r.Claim.Quantities[name]})
	}
	holder, ok := holders[r.Verdict.Holder]
	if !ok {
		return nil, ledger.Hash{}, fmt.Errorf("%q is nobody who can hold a reduction", r.Verdict.Holder)
	}
	v := &r.Verdict
	if !v.Reason.Known() || !v.Reason.Recorded() {
		return nil, ledger.Hash{}, fmt.Errorf("no verdict is recorded with the reason %.40q", v.Reason)
	}
	row := &claim.Row{Claim: c, Body: claim.Body(c), Programme: v.Programme, Holder: holder,
		Verdict: claim.Verdict{Reason: v.Reason, Operands: v.Operands, Method: v.Method, Milligrams: v.Reduction, Points: v.Points}}
	if v.MethodSHA256 != nil {
		row.Method = &methodology.Methodology{Hash: *v.MethodSHA256}
	}
	if a := r.Again; a != nil {
		of, ok := claim.ParseRef(a.Of)
		if !ok {
			return nil, ledger.Hash{}, fmt.Errorf("%q names no claim", a.Of)
		}
		row.Again = &claim.Again{Of: of, Basis: claim.Basis{At: a.At, Rulebook: a.Rulebook, Backfill: a.Backfill, Restated: a.Restated}}
	}
	private, err := r.private(row)
	return row, private, err
}

// private puts what is private into the row, and computes its hash.
func (r *Receipt) private(row *claim.Row) (ledger.Hash, error) {
	p := r.Private
	bad := errors.New("what is private stands there with its salt, or by its hash alone")
	switch {
	case r.Verdict.Operands.Other != "":
		return ledger.Hash{}, bad
	case p == nil:
		return ledger.Hash{}, nil
	case p.Salt == nil:
		if p.Hash == nil || *p.Hash == (record.Hash{}) || p.Other != "" || len(p.Used) > 0 {
			return ledger.Hash{}, bad
		}
		return ledger.Hash(*p.Hash), nil
	case p.Hash != nil:
		return ledger.Hash{}, bad
	}
	row.Verdict.Operands.Other = p.Other
	for _, u := range p.Used {
		if strings.ContainsAny(u.What, "=\n") || strings.Contains(u.Value, "\n") {
			return ledger.Hash{}, fmt.Errorf("%q cannot have been used", u.What)
		}
		row.Used = append(row.Used, methodology.Use{What: u.What, Value: u.Value})
	}
	text := claim.Private(row)
	if text == "" {
		return ledger.Hash{}, bad
	}
	return claim.PrivateHash(*p.Salt, text), nil
}
