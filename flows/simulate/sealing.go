package simulate

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/flows/receipt"
	"github.com/tanpu/tanpu/flows/seal"
	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
)

// seal has a server extend, sign and publish the log.
func (w *world) seal() {
	s := w.server()
	if s == nil {
		return
	}
	if w.draw.IntN(6) == 0 {
		w.witness.down = 1 + w.draw.IntN(2)
	}
	s.extend()
	w.witness.down = 0
}

func (s *server) extend() {
	var heads [parts]int64
	for part := range parts {
		heads[part] = s.model.parts[part].head
	}
	var ended []*mlink
	for _, l := range s.model.order {
		if l.revoked != 0 {
			ended = append(ended, l)
		}
	}
	rulebook := s.model.terms.Rulebook
	more, err := s.sealer.Step(s.ctx, s.time())
	switch {
	case err != nil && (!s.allowed(err) || fault.KindOf(err) != ""):
		s.fail("sealing", "%v", err)
	case err == nil && !more && s.stage.on == "":
		s.stage.disarm()
		if s.read() { // where another server signed before, it takes one more step
			for part := range parts {
				s.sealed[part] = max(s.sealed[part], heads[part])
			}
			for _, l := range ended {
				l.sealed = true
			}
			s.sealedBook = max(s.sealedBook, rulebook)
		}
	}
	s.note("sealed: %v", err == nil)
}

// read looks at what is published, as a stranger would, and tells whether that is all of the log.
func (s *server) read() (all bool) {
	l, found, err := s.db.Log(s.ctx)
	if err != nil || !found {
		s.fail("log", "reading it: %v, %v", found, err)
		return false
	}
	if l.Checkpoint == "" {
		return false
	}
	c, err := s.stranger(s.db, l)
	if err != nil {
		s.fail("log", "its head: %v", err)
		return false
	}
	s.note("head %d %v", c.Size, c.Root)
	s.witness.look(c, "a stranger")
	return c.Size == l.Size
}

// A watcher is a witness, and whoever else looks at the log: it remembers every head that was signed, and finds two that
// do not fit.
type watcher struct {
	world *world
	key   *proof.Cosigner
	logs  []string            // by which keys it believes the log, as it was told
	down  int                 // 1: it does not answer; 2: it signs, and the answer is lost
	last  proof.Checkpoint    // that it cosigned
	heads map[int64]tlog.Hash // all that anybody saw, by size
}

func newWatcher(w *world) (*watcher, error) {
	skey, _, err := proof.GenerateWitnessKey(endless{}, "witness.example")
	if err != nil {
		return nil, err
	}
	k := &watcher{world: w, logs: slices.Clone(w.log.believed), heads: map[int64]tlog.Hash{}, last: proof.Checkpoint{Origin: origin, Root: proof.EmptyRoot}}
	k.key, err = proof.NewCosigner(skey)
	return k, err
}

// endless is no randomness: all worlds have the same witness.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 7
	}
	return len(b), nil
}

func (k *watcher) Name() string { return "witness.example" }

// look remembers a head that somebody saw.
func (k *watcher) look(c proof.Checkpoint, who string) {
	if root, known := k.heads[c.Size]; known && root != c.Root {
		k.world.fail("fork", "%s sees a head of %d entries that is not the one that was signed before", who, c.Size)
	}
	k.heads[c.Size] = c.Root
}

// Cosign signs what extends the last head.
func (k *watcher) Cosign(_ context.Context, old int64, path []tlog.Hash, checkpoint []byte) ([]byte, error) {
	c, err := k.world.open(checkpoint, k.logs, "a witness")
	if err != nil {
		k.world.fail("witness", "it is asked to sign %q: %v", checkpoint, err)
		return nil, err
	}
	k.look(c, "a witness")
	if k.down == 1 {
		k.world.cover.Other["the witness did not answer"]++
		return nil, errors.New("the witness is down")
	}
	if old != k.last.Size {
		return nil, &seal.Stale{Size: k.last.Size}
	}
	if err := proof.CheckExtends(path, k.last, c); err != nil {
		k.world.fail("fork", "a witness is asked to sign a head of %d entries that does not extend that of %d: %v", c.Size, old, err)
		return nil, err
	}
	k.last = c
	line, err := k.key.Cosign(c.Text(), k.world.now/1e6)
	if k.down == 2 {
		k.world.cover.Other["the witness's answer was lost"]++
		return nil, errors.New("the witness's answer was lost")
	}
	return []byte(line), err
}

// receipt has somebody fetch a receipt and check it; some are kept.
func (w *world) receipt() {
	s := w.server()
	if s == nil {
		return
	}
	row := w.anyRow(func(r *mrow) bool { return !r.account.crowd() || r.ref.Ord == 0 })
	if row == nil {
		return
	}
	partner := ""
	if w.draw.IntN(2) == 0 {
		partner = row.claim.Partner
	}
	s.prove(row, partner)
}

func (s *server) prove(row *mrow, partner string) {
	r, err := receipt.Make(s.ctx, s.db, row.ref, partner, []string{s.witness.key.VerifierKey()})
	if err != nil {
		missing := fault.KindOf(err) == fault.NotFound
		if missing && row.ref.Batch <= s.sealed[row.ref.Part] || !missing && (fault.KindOf(err) != "" || !s.allowed(err)) {
			s.fail("receipt", "of claim %s: %v", row.ref, err)
		}
		return
	}
	text := r.Encode()
	s.verify(text, row)
	if len(s.receipts) < 2 {
		s.receipts = append(s.receipts, text)
	}
}

// verify checks a receipt as anybody can, and holds what it says against the model.
func (w *world) verify(text []byte, row *mrow) {
	w.cover.Other["a receipt was checked"]++
	report, err := proof.Verify(text, proof.Trust{Logs: w.log.verifiers(w.witness.logs)})
	if err != nil {
		w.fail("receipt", "of claim %s: %v\n%s", row.ref, err, text)
		return
	}
	v := &report.Receipt.Verdict
	if v.Reason != row.reason || v.Reduction != row.mg || v.Points != row.points || report.Receipt.Claim.ID != row.claim.ID {
		w.fail("receipt", "of claim %s: it says %+v", row.ref, v)
	}
	if report.Receipt.Testimony != nil {
		w.cover.Other["a receipt with the partner's signature"]++
	}
}

// extended holds a receipt's head against the log as it is now.
func (s *server) extended(text []byte) {
	r, err := proof.ParseReceipt(text)
	if err != nil {
		s.fail("receipt", "%v", err)
		return
	}
	old, _, err := proof.OpenCheckpoint([]byte(r.Log.Checkpoint), origin, s.log.all...)
	l, _, err2 := s.db.Log(s.ctx)
	if err = errors.Join(err, err2); err == nil {
		var path []tlog.Hash
		if path, err = tlog.ProveTree(l.Size, old.Size, seal.Reader(s.ctx, s.db, l)); err == nil {
			err = tlog.CheckTree(path, l.Size, tlog.Hash(l.Root), old.Size, old.Root)
		}
	}
	if err != nil {
		s.fail("receipt", "the log does not extend the head of a receipt: %v", err)
	}
}

// digest is a short hash, for traces.
func digest(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b))[:16] }

// testified looks whether of all that was signed and acknowledged the signature is kept.
func (s *server) testified() {
	var refs []claim.Ref
	for _, a := range s.model.members() {
		for _, r := range a.rows {
			if r.acked && r.signed {
				refs = append(refs, r.ref)
			}
		}
	}
	kept, err := s.db.Testified(s.ctx, refs)
	if err != nil {
		s.fail("testimony", "%v", err)
		return
	}
	if i := slices.IndexFunc(refs, func(r claim.Ref) bool { return !kept[r] }); i >= 0 {
		s.fail("testimony", "claim %s was signed and acknowledged, and its signature is not kept", refs[i])
	}
}
