package audit_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/flows/receipt"
	"github.com/tanpu/tanpu/flows/seal"
	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/record"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

// A stamp is a witness in this process: it cosigns whatever it is shown.
type stamp struct{ *proof.Cosigner }

func (s stamp) Cosign(_ context.Context, _ int64, _ []tlog.Hash, checkpoint []byte) ([]byte, error) {
	text, _, _ := strings.Cut(string(checkpoint), "\n\n")
	line, err := s.Cosigner.Cosign(text+"\n", 1787270400)
	return []byte(line), err
}

// sealed has a world's log begun, sealed and cosigned, and returns the keys of log and witnesses.
func sealed(t *testing.T, w *world) (log, witnesses []string) {
	t.Helper()
	signer, _ := newSigner(t, "example.org/log")
	if err := seal.Begin(t.Context(), w.db, signer, w.now); err != nil {
		t.Fatal(err)
	}
	skey, vkey, err := proof.GenerateWitnessKey(bytes.NewReader(make([]byte, 64)), "regulator.example")
	if err != nil {
		t.Fatal(err)
	}
	cosigner, err := proof.NewCosigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	seals(t, w, signer, stamp{cosigner})
	return signer.Keys(), []string{vkey}
}

// newSigner makes a log's key, and returns it as it signs and in secret.
func newSigner(t *testing.T, origin string) (*seal.Signer, string) {
	t.Helper()
	key := filepath.Join(t.TempDir(), "log-key")
	if _, err := seal.CreateKey(key, origin); err != nil {
		t.Fatal(err)
	}
	signer, err := seal.LoadSigner(key, "")
	if err != nil {
		t.Fatal(err)
	}
	secret, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer, strings.TrimSpace(string(secret))
}

// seals takes all that a world has committed into its log.
func seals(t *testing.T, w *world, signer *seal.Signer, witnesses ...seal.Witness) {
	t.Helper()
	s, err := seal.New(t.Context(), seal.Config{DB: w.db, Signer: signer, Witnesses: witnesses})
	if err != nil {
		t.Fatal(err)
	}
	for more := true; more; {
		if more, err = s.Step(t.Context(), w.now); err != nil {
			t.Fatal(err)
		}
	}
}

// samples are some recorded claims of each reason.
func samples(t testing.TB, w *world, each int) map[reason.Code][]store.ClaimRow {
	t.Helper()
	found := map[reason.Code][]store.ClaimRow{}
	for part := range w.db.Parts {
		err := w.db.Snapshot(context.Background(), part, func(s *store.Snapshot) error {
			return s.Claims(context.Background(), store.Range{From: 1, To: 1 << 40}, func(c *store.ClaimRow) {
				if code := c.Verdict.Reason; len(found[code]) < each {
					found[code] = append(found[code], *c)
				}
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// corrected are some claims that were judged in the place of others, and some that were reversed.
func corrected(t *testing.T, w *world, each int) (again, reversed []store.ClaimRow) {
	t.Helper()
	for part := range w.db.Parts {
		corrections := map[int64]bool{}
		err := w.db.Snapshot(t.Context(), part, func(s *store.Snapshot) error {
			if err := s.Batches(t.Context(), func(b *store.BatchRow) { corrections[b.Number] = b.Correction }); err != nil {
				return err
			}
			return s.Claims(t.Context(), store.Range{From: 1, To: 1 << 40}, func(c *store.ClaimRow) {
				if corrections[c.Verdict.Ref.Batch] && len(again) < each {
					again = append(again, *c)
				}
				if c.Reversed != 0 && len(reversed) < each {
					reversed = append(reversed, *c)
				}
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return again, reversed
}

// A claim that a correction judged has a receipt as any other, by what it was judged by; a reversed one keeps its own.
func TestReceiptsOfCorrections(t *testing.T) {
	storetest.OneByOne(t)
	storetest.Each(t, func(t *testing.T, url string) {
		w := live(t, url, 12, 9)
		_, witnesses := sealed(t, w)
		again, reversed := corrected(t, w, 60)
		if len(again) < 20 || len(reversed) < 20 {
			t.Fatalf("%d claims stand in the place of others, and %d were reversed", len(again), len(reversed))
		}
		for i, row := range append(again, reversed...) {
			r, err := receipt.Make(t.Context(), w.db, row.Verdict.Ref, "", witnesses)
			if err != nil {
				t.Fatalf("%s: %v", row.Verdict.Ref, err)
			}
			if _, err := proof.Verify(r.Encode(), proof.Trust{}); err != nil {
				t.Fatalf("%s: %v\n%s", row.Verdict.Ref, err, r.Encode())
			}
			if i < len(again) != (r.Again != nil) && row.Reversed == 0 {
				t.Errorf("%s: in whose place: %+v", row.Verdict.Ref, r.Again)
			}
			if r.Again == nil {
				continue
			}
			// A receipt that hides that it is of a correction, or says to be of one, is none.
			said := *r
			said.Again = nil
			if _, err := proof.Verify(said.Encode(), proof.Trust{}); err == nil {
				t.Errorf("%s passes as a claim that was judged as it came", row.Verdict.Ref)
			}
			early := *r.Again
			early.At -= 1e6
			said.Again = &early
			if _, err := proof.Verify(said.Encode(), proof.Trust{}); err == nil {
				t.Errorf("%s passes as judged at another time", row.Verdict.Ref)
			}
		}
	})
}

// Every recorded claim has a receipt, the refused ones too, that proves it without the database.
func TestReceipts(t *testing.T) {
	storetest.OneByOne(t)
	storetest.Each(t, func(t *testing.T, url string) {
		w := live(t, url, 12, 9)
		keys, witnesses := sealed(t, w)
		log, err := note.NewVerifier(keys[0])
		if err != nil {
			t.Fatal(err)
		}
		witness, err := proof.NewCosignatureVerifier(witnesses[0])
		if err != nil {
			t.Fatal(err)
		}
		trust := proof.Trust{Logs: []note.Verifier{log}, Witnesses: []note.Verifier{witness}}
		found := samples(t, w, 25)
		if len(found) < 10 {
			t.Errorf("only these reasons: %v", found)
		}
		for code, rows := range found {
			for _, row := range rows {
				r, err := receipt.Make(t.Context(), w.db, row.Verdict.Ref, "", witnesses)
				if err != nil {
					t.Fatalf("%s %s: %v", code, row.Verdict.Ref, err)
				}
				report, err := proof.Verify(r.Encode(), trust)
				if err != nil {
					t.Fatalf("%s %s: %v\n%s", code, row.Verdict.Ref, err, r.Encode())
				}
				if len(report.Cosigned) != 1 || report.Receipt.Verdict.Reason != code || report.Receipt.Verdict.Reduction != row.Verdict.Milligrams {
					t.Errorf("%s: the report is %+v", code, report)
				}
				discreet(t, w, row, witnesses, trust)
			}
		}
	})
}

// discreet makes sure that a partner's receipt proves the verdict, and tells nothing of what others reported.
func discreet(t *testing.T, w *world, row store.ClaimRow, witnesses []string, trust proof.Trust) {
	t.Helper()
	if _, err := receipt.Make(t.Context(), w.db, row.Verdict.Ref, "somebody", witnesses); fault.KindOf(err) != fault.NotFound {
		t.Errorf("another partner got the receipt: %v", err)
	}
	r, err := receipt.Make(t.Context(), w.db, row.Verdict.Ref, row.Partner, witnesses)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := proof.Verify(r.Encode(), trust); err != nil {
		t.Fatalf("the partner's receipt: %v\n%s", err, r.Encode())
	}
	if r.Private != nil && (r.Private.Salt != nil || r.Private.Other != "" || r.Private.Used != nil || r.Working != (proof.Working{})) {
		t.Errorf("the partner's receipt tells %+v", r.Private)
	}
}

// A receipt in which anything was changed fails, and says at which step. Nothing in it is decoration.
func TestReceiptTampering(t *testing.T) {
	storetest.OneByOne(t)
	w := live(t, storetest.SQLite(t), 12, 9)
	_, witnesses := sealed(t, w)
	steps := map[string]int{}
	for code, rows := range samples(t, w, 1) {
		for _, row := range rows {
			for _, partner := range []string{"", row.Partner} {
				if code != reason.OK && code != reason.Overlap && partner != "" {
					continue
				}
				r, err := receipt.Make(t.Context(), w.db, row.Verdict.Ref, partner, witnesses)
				if err != nil {
					t.Fatal(err)
				}
				var tree any
				d := json.NewDecoder(bytes.NewReader(r.Encode()))
				d.UseNumber()
				if err := d.Decode(&tree); err != nil {
					t.Fatal(err)
				}
				tamper(tree, nil, func(path []string) {
					text := ordered(t, tree)
					if bytes.Equal(text, r.Encode()) {
						return // such as a number that was 0, and is left out: the same receipt
					}
					report, err := proof.Verify(text, proof.Trust{})
					if err == nil && strings.Join(path, ".") == "testimony" && report.Receipt.Testimony == nil {
						return // it proves less, and says so: that nobody is shown to have signed
					}
					var failure *proof.Failure
					if !errors.As(err, &failure) {
						t.Errorf("%s: with another %s the receipt passes: %v", code, strings.Join(path, "."), err)
						return
					}
					steps[failure.Step]++
				})
			}
		}
	}
	for _, step := range []string{proof.StepForm, proof.StepClaim, proof.StepLog, proof.StepCheckpoint, proof.StepDocuments, proof.StepWorking} {
		if steps[step] == 0 {
			t.Errorf("nothing failed at the step %s; %v", step, steps)
		}
	}
	t.Log(steps)
}

// ordered writes a tree as receipts are written, with their fields in their order, so that what fails is not that.
func ordered(t *testing.T, tree any) []byte {
	t.Helper()
	text, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	var r proof.Receipt
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if d.Decode(&r) != nil {
		return text
	}
	return r.Encode()
}

// tamper changes each value of a tree in turn, calls try, and puts it back.
func tamper(node any, path []string, try func([]string)) {
	switch n := node.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(n)) {
			old := n[name]
			at := append(slices.Clone(path), name)
			for _, other := range changes(old) {
				n[name] = other
				try(at)
			}
			delete(n, name)
			try(at)
			n[name] = old
			tamper(old, at, try)
		}
	case []any:
		for i, old := range n {
			at := append(slices.Clone(path), fmt.Sprint(i))
			for _, other := range changes(old) {
				n[i] = other
				try(at)
			}
			n[i] = old
			tamper(old, at, try)
		}
	}
}

// changes are values that could stand in the place of one.
func changes(v any) []any {
	switch v := v.(type) {
	case string:
		list := []any{v + "x", "", v + " "}
		for i := range []rune(v) {
			if i > 3 && i%29 != 0 || i > 300 && i%493 != 0 {
				continue
			}
			runes := []rune(v)
			if runes[i]++; string(runes) != v {
				list = append(list, string(runes))
			}
		}
		return list
	case json.Number:
		n, _ := v.Int64()
		return []any{n + 1, n - 1, -n - 1, 0.5}
	case bool:
		return []any{!v}
	case []any:
		list := []any{nil, append(slices.Clone(v), "x")}
		if len(v) > 0 {
			list = append(list, v[1:], append(slices.Clone(v), v[0]))
		}
		if len(v) > 1 {
			list = append(list, append(slices.Clone(v[1:]), v[0]))
		}
		return list
	case map[string]any:
		more := maps.Clone(v)
		more["more"] = "x"
		return []any{nil, more}
	}
	return []any{"x"}
}

// An impostor has keys of his own: what he can make with them must not stand among what was proved.
type impostor struct {
	log     string // secret key
	witness *proof.Cosigner
}

func newImpostor(t *testing.T) impostor {
	t.Helper()
	_, log := newSigner(t, "example.org/log")
	skey, _, err := proof.GenerateWitnessKey(rand.Reader, "regulator.example")
	if err != nil {
		t.Fatal(err)
	}
	witness, err := proof.NewCosigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	return impostor{log, witness}
}

// cosign adds his witness's signature to the receipt's head.
func (i impostor) cosign(t *testing.T, r *proof.Receipt) {
	t.Helper()
	text, _, _ := strings.Cut(r.Log.Checkpoint, "\n\n")
	line, err := i.witness.Cosign(text+"\n", 1787270400)
	if err != nil {
		t.Fatal(err)
	}
	r.Log.Checkpoint += line
	r.Log.Witnesses = append(r.Log.Witnesses, i.witness.VerifierKey())
}

// rewrite makes a log of the receipt's entries, the batch first and its documents after it, and signs its head.
func (i impostor) rewrite(t *testing.T, r *proof.Receipt) {
	t.Helper()
	entries := [][]byte{record.Text(&r.Batch.Entry)}
	for n := range r.Documents {
		entries = append(entries, record.Text(&r.Documents[n].Entry))
	}
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(list []int64) ([]tlog.Hash, error) {
		var hashes []tlog.Hash
		for _, n := range list {
			hashes = append(hashes, stored[n])
		}
		return hashes, nil
	})
	for n, text := range entries {
		hashes, err := tlog.StoredHashes(int64(n), text, reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hashes...)
	}
	path := func(n int64) (list []record.Hash) {
		proved, err := tlog.ProveRecord(int64(len(entries)), n, reader)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range proved {
			list = append(list, record.Hash(h))
		}
		return list
	}
	r.Log.Place, r.Log.Path = 0, path(0)
	for n := range r.Documents {
		r.Documents[n].Place, r.Documents[n].Path = int64(n)+1, path(int64(n)+1)
	}
	root, err := tlog.TreeHash(int64(len(entries)), reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(i.log)
	if err != nil {
		t.Fatal(err)
	}
	head := proof.Checkpoint{Origin: "example.org/log", Size: int64(len(entries)), Root: root}
	text, err := note.Sign(&note.Note{Text: head.Text()}, signer)
	if err != nil {
		t.Fatal(err)
	}
	vkey, err := proof.PublicKey(i.log)
	if err != nil {
		t.Fatal(err)
	}
	r.Log.Checkpoint, r.Log.Keys, r.Log.Witnesses = string(text), []string{vkey}, []string{}
}

// A receipt says no more than it proves.
func TestReceiptProvesNoMore(t *testing.T) {
	w := live(t, storetest.SQLite(t), 12, 9)
	_, witnesses := sealed(t, w)
	found := samples(t, w, 1)
	row, alone := found[reason.OK][0], found[reason.BelowMinimum][0] // by nothing but itself
	impostor := newImpostor(t)
	said := func(list []proof.Statement, part string) bool {
		return slices.ContainsFunc(list, func(s proof.Statement) bool { return strings.Contains(s.EN, part) })
	}
	made := func(row store.ClaimRow) *proof.Receipt {
		r, err := receipt.Make(t.Context(), w.db, row.Verdict.Ref, "", witnesses)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}

	r := made(row)
	impostor.cosign(t, r)
	report, err := proof.Verify(r.Encode(), proof.Trust{Witnesses: []note.Verifier{impostor.witness.Verifier()}})
	if err != nil || len(report.Cosigned) != 1 || !said(report.Proved, "Cosigned by witnesses that you trust: regulator.example") {
		t.Errorf("a witness that the reader trusts: %+v, %v", report, err)
	}
	report, err = proof.Verify(r.Encode(), proof.Trust{})
	if err != nil || len(report.Cosigned) != 0 || said(report.Proved, "osigned") || !said(report.NotProved, impostor.witness.VerifierKey()) {
		t.Errorf("anybody can call himself a witness, and it was proved that he is one: %+v, %v", report, err)
	}
	if n := int64(len(report.Receipt.Documents)); n < report.Receipt.Batch.Entry.Rulebook != said(report.NotProved, "no other document") {
		t.Errorf("%d of %d documents, and it is not said that another could count: %+v", n, report.Receipt.Batch.Entry.Rulebook, report.NotProved)
	}
	if !said(report.NotProved, "had not been counted before") {
		t.Errorf("no receipt holds what else was counted, and it is not said: %+v", report.NotProved)
	}

	r = made(row)
	impostor.rewrite(t, r)
	var failure *proof.Failure
	if _, err := proof.Verify(r.Encode(), proof.Trust{}); !errors.As(err, &failure) || failure.Step != proof.StepDocuments {
		t.Errorf("documents that the log published after the batch: %v", err)
	}

	r = made(alone)
	if r.Private != nil {
		t.Fatalf("claim %s was judged by something private", alone.Verdict.Ref)
	}
	r.Private, r.Working = &proof.ReceiptPrivate{Hash: new(record.Hash)}, proof.Working{}
	if _, err := proof.Verify(r.Encode(), proof.Trust{}); !errors.As(err, &failure) || failure.Step != proof.StepClaim {
		t.Errorf("a receipt that withholds what there is not: %v", err)
	}

	r = made(alone)
	r.Verdict.Reason = "excellent"
	if _, err := proof.Verify(r.Encode(), proof.Trust{}); err == nil || !strings.Contains(err.Error(), "no verdict is recorded") {
		t.Errorf("a reason that there is not, and no words for it: %v", err)
	}
}
