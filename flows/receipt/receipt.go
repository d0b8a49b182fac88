// Package receipt writes receipts: it gathers from the database what package proof checks without one.
package receipt

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/flows/seal"
	"github.com/tanpu/tanpu/flows/testimony"
	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/record"
	"github.com/tanpu/tanpu/rules/rulebook"
	"github.com/tanpu/tanpu/store"
)

// Make writes the receipt of a recorded claim under the log's last published head. A partner gets that of a claim
// that it reported, without what only the member may see; "" is the member, or an operator for the member. witnesses
// are the vkeys of those that may have cosigned.
//
// The error is fault.NotFound while the claim's batch is not yet under a published head, and fault.Gone once the
// account was erased.
func Make(ctx context.Context, db *store.DB, ref claim.Ref, partner string, witnesses []string) (*proof.Receipt, error) {
	c, err := db.RecordedClaim(ctx, ref)
	if err != nil {
		return nil, err
	}
	switch {
	case partner != "" && c.Partner != partner:
		return nil, fault.New(fault.NotFound, "there is no claim %s", ref)
	case len(c.Key) != 32:
		return nil, fault.New(fault.Gone, "the account was erased, and with it what a receipt is made from")
	}
	m := &maker{ctx: ctx, db: db, witnesses: witnesses}
	if err := m.head(); err != nil {
		return nil, err
	}
	r := &proof.Receipt{Form: proof.ReceiptForm, Documents: []proof.ReceiptDocument{}}
	row, err := c.Row()
	if err != nil {
		return nil, err
	}
	row.Again = c.Again
	if err := m.gather(r, c, row); err != nil {
		return nil, err
	}
	var key [32]byte
	copy(key[:], c.Key)
	r.OfRow(row)
	r.Salt = record.Hash(claim.Salt(key, ref.Batch, ref.Ord))
	private := claim.PrivateSalt(key, ref.Batch, ref.Ord)
	if partner != "" {
		r.Withhold(row, private)
	} else {
		r.Tell(row, private)
	}
	if !r.Withheld() {
		if err := m.work(r, c, row); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// basis is what a claim was judged by: its batch says it, unless it was judged in another's place.
func basis(c *store.Recorded) claim.Basis {
	if c.Again != nil {
		return c.Again.Basis
	}
	return claim.Basis{At: c.Batch.At, Rulebook: c.Batch.Rulebook, Backfill: c.Batch.Backfill}
}

// A maker proves things in one log under one head.
type maker struct {
	ctx       context.Context
	db        *store.DB
	witnesses []string
	log       store.Log
	keys      []string
	trees     []store.Log // the log, and those before it as far as they are needed, each as it is cited
	earlier   []proof.ReceiptEarlier
	texts     []rulebook.Document
	documents []store.Document
}

// head takes the last published head of the log.
func (m *maker) head() error {
	l, found, err := m.db.Log(m.ctx)
	if err != nil {
		return err
	}
	if !found || l.Checkpoint == "" {
		return fault.New(fault.NotFound, "nothing of the log was published yet; try again in a moment")
	}
	body, _, _ := strings.Cut(l.Checkpoint, "\n\n")
	c, err := proof.ParseCheckpoint(body + "\n")
	if err != nil {
		return err
	}
	if m.keys, err = seal.PublicKeys(m.ctx, m.db, l); err != nil {
		return err
	}
	l.Size, l.Root = c.Size, ledger.Hash(c.Root)
	m.log, m.trees = l, []store.Log{l}
	return nil
}

// place finds an entry of the log, how many logs back it is, and the path from it to the head of that log.
func (m *maker) place(stream string, part int, number int64) (before int, place int64, path []record.Hash, err error) {
	log, place, _, err := m.db.LogPlace(m.ctx, stream, part, number)
	if err != nil {
		return 0, 0, nil, err
	}
	for before = 0; m.trees[before].Number != log; before++ {
		if before+1 == len(m.trees) {
			if err := m.goBack(); err != nil {
				return 0, 0, nil, err
			}
		}
	}
	path, err = m.path(before, place)
	return before, place, path, err
}

// goBack takes up the log before those that were taken up, as the first entry of the last one cites it.
func (m *maker) goBack() error {
	last := len(m.trees) - 1
	e, err := record.Parse([]byte(m.trees[last].First))
	origin, ok := e.(*record.Origin)
	if err != nil || !ok || origin.Follows == nil {
		return fault.New(fault.NotFound, "this is not yet under a published head of the log; try again in a moment")
	}
	l, found, err := m.db.LogNumbered(m.ctx, m.trees[last].Number-1)
	if err != nil {
		return err
	}
	if !found || l.Origin != origin.Follows.Origin || l.Size < origin.Follows.Size {
		return fmt.Errorf("the log %s, from which %s goes on, is not here", origin.Follows.Origin, origin.Origin)
	}
	path, err := m.path(last, 0)
	if err != nil {
		return err
	}
	m.earlier = append(m.earlier, proof.ReceiptEarlier{Entry: *origin, Path: path})
	l.Size, l.Root = origin.Follows.Size, ledger.Hash(origin.Follows.Root)
	m.trees = append(m.trees, l)
	return nil
}

// path leads from an entry to the head of its log.
func (m *maker) path(before int, place int64) ([]record.Hash, error) {
	l := m.trees[before]
	if place >= l.Size {
		return nil, fault.New(fault.NotFound, "this is not yet under a published head of the log; try again in a moment")
	}
	proved, err := tlog.ProveRecord(l.Size, place, seal.Reader(m.ctx, m.db, l))
	if err != nil {
		return nil, fmt.Errorf("proving entry %d of the log: %w", place, err)
	}
	path := make([]record.Hash, len(proved))
	for i := range proved {
		path[i] = record.Hash(proved[i])
	}
	return path, nil
}

// gather adds batch, log and documents.
func (m *maker) gather(r *proof.Receipt, c *store.Recorded, row *claim.Row) (err error) {
	if err := m.testify(r, c); err != nil {
		return err
	}
	r.Batch = proof.ReceiptBatch{Entry: *record.OfBatch(&c.Batch), Path: climb(c.Leaves, c.Verdict.Ref.Ord)}
	record.Text(&r.Batch.Entry) // names its type
	if r.Log.Before, r.Log.Place, r.Log.Path, err = m.place(store.BatchStream, c.Batch.Part, c.Batch.Number); err != nil {
		return err
	}
	r.Log.Checkpoint = m.log.Checkpoint
	if err := m.signers(r); err != nil {
		return err
	}
	by := basis(c)
	if m.documents, err = m.db.Documents(m.ctx, max(by.Rulebook, by.Restated)); err != nil {
		return err
	}
	list, err := needed(m.documents, by, row)
	if err != nil {
		return err
	}
	for _, d := range list {
		entry := record.Document{Rulebook: d.Rulebook, Kind: d.Kind, Name: d.Name, At: d.At, SHA256: d.Hash}
		record.Text(&entry)
		before, place, path, err := m.place(store.DocumentStream, 0, d.Rulebook)
		if err != nil {
			return err
		}
		r.Documents = append(r.Documents, proof.ReceiptDocument{Entry: entry, Before: before, Place: place, Path: path, Text: string(d.Body)})
		m.texts = append(m.texts, rulebook.Document{Number: d.Rulebook, Kind: d.Kind, Name: d.Name, Text: d.Body})
		if d.Kind == "methodology" && d.Name == row.Verdict.Method {
			row.Method = &methodology.Methodology{Hash: d.Hash}
		}
	}
	r.Log.Earlier = m.earlier
	return m.method(row)
}

// method finds the text that the verdict names, where it is one that restates others: then it may have taken the place of
// a version of its name.
func (m *maker) method(row *claim.Row) error {
	for _, d := range m.texts {
		if d.Kind != rulebook.Restating {
			continue
		}
		r, err := rulebook.ParseRestatement(d.Name, d.Text)
		if err != nil {
			return err
		}
		if r.Method == row.Verdict.Method {
			row.Method = &methodology.Methodology{Hash: r.Hash}
		}
	}
	return nil
}

// testify adds the partner's signature of the claim, where there is one.
func (m *maker) testify(r *proof.Receipt, c *store.Recorded) error {
	t, found, err := testimony.Of(m.ctx, m.db, &c.ClaimRow)
	if err != nil || !found {
		return err
	}
	r.Testimony = &proof.ReceiptTestimony{Public: hex.EncodeToString(t.Public), Base: t.Base, Signature: hex.EncodeToString(t.Signature),
		Salt: record.Hash(t.Salt), Path: sides(t.Index, t.Claims, t.Path)}
	return nil
}

// sides says of a path (RFC 6962 §2.1.1) on which side each hash joins.
func sides(i, n int, path []ledger.Hash) []proof.Step {
	if n <= 1 || len(path) == 0 {
		return []proof.Step{}
	}
	k := 1
	for k*2 < n {
		k *= 2
	}
	last := record.Hash(path[len(path)-1])
	if i < k {
		return append(sides(i, k, path[:len(path)-1]), proof.Step{Right: &last})
	}
	return append(sides(i-k, n-k, path[:len(path)-1]), proof.Step{Left: &last})
}

// climb is the path from a leaf to the root over all of them (RFC 6962 §2.1.1), with the sides.
func climb(leaves []ledger.Hash, i int) []proof.Step {
	if len(leaves) <= 1 {
		return []proof.Step{}
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	if i < k {
		right := record.Hash(ledger.Root(leaves[k:]))
		return append(climb(leaves[:k], i), proof.Step{Right: &right})
	}
	left := record.Hash(ledger.Root(leaves[:k]))
	return append(climb(leaves[k:], i-k), proof.Step{Left: &left})
}

// signers names those of the keys that signed the head. Lines of other keys cannot be checked by anybody who
// has not got them, and are left out of the receipt.
func (m *maker) signers(r *proof.Receipt) error {
	var verifiers []note.Verifier
	named := map[note.Verifier]string{}
	for _, k := range m.keys {
		v, err := note.NewVerifier(k)
		if err != nil {
			return err
		}
		verifiers, named[v] = append(verifiers, v), k
	}
	for _, k := range m.witnesses {
		v, err := proof.NewCosignatureVerifier(k)
		if err != nil {
			return err
		}
		verifiers, named[v] = append(verifiers, v), k
	}
	signed, err := note.Open([]byte(m.log.Checkpoint), note.VerifierList(verifiers...))
	if err != nil {
		return fmt.Errorf("the published head is not signed by the log's keys: %w", err)
	}
	r.Log.Keys, r.Log.Witnesses = []string{}, []string{}
	for _, s := range signed.Sigs {
		i := slices.IndexFunc(verifiers, func(v note.Verifier) bool { return v.Name() == s.Name && v.KeyHash() == s.Hash })
		if i < len(m.keys) {
			r.Log.Keys = append(r.Log.Keys, named[verifiers[i]])
		} else {
			r.Log.Witnesses = append(r.Log.Witnesses, named[verifiers[i]])
		}
	}
	if len(r.Log.Keys) == 0 {
		return errors.New("the published head is not signed by the log's keys")
	}
	text, err := note.Sign(&note.Note{Text: signed.Text, Sigs: signed.Sigs})
	r.Log.Checkpoint = string(text)
	return err
}

// needed are the documents that judging the claim asks: the programme as it was in force, all versions of its
// methodology, the groups, and the factors.
//
// Where it was judged by what restatements put in the place of others, those too, with the groups and factors of their day.
func needed(all []store.Document, by claim.Basis, row *claim.Row) ([]store.Document, error) {
	documents := upTo(all, by.Rulebook)
	list := neededOf(documents, methodOf(documents, row), row)
	for _, d := range all {
		if d.Kind != rulebook.Restating || d.Rulebook > max(by.Rulebook, by.Restated) {
			continue
		}
		r, err := rulebook.ParseRestatement(d.Name, d.Body)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
		for _, l := range latest(upTo(all, r.Rulebook)) {
			if l.Kind == "groups" || l.Kind == "factors" {
				list = append(list, l)
			}
		}
	}
	slices.SortFunc(list, func(a, b store.Document) int { return cmp.Compare(a.Rulebook, b.Rulebook) })
	return slices.CompactFunc(list, func(a, b store.Document) bool { return a.Rulebook == b.Rulebook }), nil
}

// upTo are the documents up to a rulebook, of a list in order.
func upTo(documents []store.Document, number int64) []store.Document {
	n, _ := slices.BinarySearchFunc(documents, number+1, func(d store.Document, n int64) int { return cmp.Compare(d.Rulebook, n) })
	return documents[:n]
}

// latest leaves out what was revised since.
func latest(documents []store.Document) (list []store.Document) {
	last := map[[2]string]int64{}
	for _, d := range documents {
		last[[2]string{d.Kind, d.Name}] = d.Rulebook
	}
	for _, d := range documents {
		if last[[2]string{d.Kind, d.Name}] == d.Rulebook {
			list = append(list, d)
		}
	}
	return list
}

func neededOf(documents []store.Document, method string, row *claim.Row) []store.Document {
	version := func(d store.Document) bool {
		return method != "" && d.Kind == "methodology" && strings.HasPrefix(d.Name, method+"@")
	}
	factors := slices.ContainsFunc(documents, func(d store.Document) bool { return version(d) && bytes.Contains(d.Body, []byte("factor(")) })
	var list []store.Document
	for _, d := range latest(documents) {
		switch {
		case d.Kind == "programme" && d.Name == row.Programme:
			list = append(list, d)
		case version(d), method != "" && d.Kind == "groups", factors && d.Kind == "factors":
			list = append(list, d)
		}
	}
	return list
}

// methodOf is the id of the methodology that the programme names for the claim's scenario, or "".
func methodOf(documents []store.Document, row *claim.Row) string {
	if id, _, ok := strings.Cut(row.Verdict.Method, "@"); ok {
		return id
	}
	for _, d := range slices.Backward(documents) {
		if d.Kind == "programme" && d.Name == row.Programme {
			if p, err := rulebook.ParseProgramme(d.Name, d.Body); err == nil {
				return p.Scenarios[row.Claim.Scenario].Methodology
			}
			return ""
		}
	}
	return ""
}

// work writes the working, as whoever checks the receipt will find it.
func (m *maker) work(r *proof.Receipt, c *store.Recorded, row *claim.Row) error {
	by := basis(c)
	book, err := rulebook.Bind(by.Rulebook, by.Restated, m.texts)
	if err != nil {
		return err
	}
	again, given, err := claim.Rejudge(claim.Session{Book: book, At: by.At, Backfill: by.Backfill}, row)
	if err == nil {
		r.Working, err = proof.WorkingOf(again, given)
	}
	if err != nil {
		return fmt.Errorf("explaining claim %s: %w", c.Verdict.Ref, err)
	}
	return nil
}
