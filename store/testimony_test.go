package store_test

import (
	"bytes"
	"crypto/ed25519"
	"reflect"
	"slices"
	"testing"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/signature"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

func TestPartnerKeys(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 2)
		public := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32)).Public().(ed25519.PublicKey)
		key := store.PartnerKey{Partner: "bikes", Public: public, Label: "one", Created: noon}
		for range 2 { // once more changes nothing
			if err := db.AddPartnerKey(ctx(), key); err != nil {
				t.Fatal(err)
			}
		}
		key.ID = signature.KeyID(public)
		if got, found, err := db.PartnerKey(ctx(), key.ID); !found || err != nil || !reflect.DeepEqual(got, key) {
			t.Errorf("got %+v, %v, %v; want %+v", got, found, err, key)
		}
		if err := db.AddPartnerKey(ctx(), store.PartnerKey{Partner: "transit", Public: public}); fault.KindOf(err) != fault.Conflict {
			t.Errorf("another partner's key is registered: %v", err)
		}
		for _, at := range []int64{noon + 1, noon + 2} { // the first stands
			if err := db.RevokePartnerKey(ctx(), key.ID, at); err != nil {
				t.Fatal(err)
			}
		}
		if got, _, err := db.PartnerKey(ctx(), key.ID); err != nil || got.Revoked != noon+1 {
			t.Errorf("it was revoked at %d (%v), want %d", got.Revoked, err, noon+1)
		}
		if err := db.AddPartnerKey(ctx(), key); fault.KindOf(err) != fault.Conflict {
			t.Errorf("a revoked key is registered again: %v", err)
		}
		if err := db.RevokePartnerKey(ctx(), "nothing", noon); fault.KindOf(err) != fault.NotFound {
			t.Errorf("revoking no key gives %v", err)
		}
		if _, found, err := db.PartnerKey(ctx(), "nothing"); found || err != nil {
			t.Errorf("no key is found: %v, %v", found, err)
		}
	})
}

// signed makes a testimony about claims at places; b tells it from others.
func signed(b byte, at int64, places ...claim.Ref) *store.Testimony {
	t := &store.Testimony{Root: ledger.Hash{b, 1}, Partner: "bikes", KeyID: "key", At: at, Base: "what was signed", Signature: []byte{b}, Salt: [32]byte{b}}
	for i, ref := range places {
		t.Leaves = append(t.Leaves, ledger.Hash{b, byte(i)})
		if ref != (claim.Ref{}) {
			t.Places = append(t.Places, store.Said{Ref: ref, Index: i})
		}
	}
	return t
}

func TestTestimonies(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 4)
		ref := func(part int, batch int64, ord int) claim.Ref { return claim.Ref{Part: part, Batch: batch, Ord: ord} }
		var many []claim.Ref // more batches than one statement asks for
		for i := range 100 {
			many = append(many, ref(i%4, int64(100+i/4), i))
		}
		first := signed(1, noon, ref(0, 7, 3), claim.Ref{}, ref(1, 2, 0), ref(0, 7, 4))
		list := []*store.Testimony{first, signed(2, noon+5, ref(0, 7, 3), ref(0, 7, 1)), signed(3, noon, many...)}
		for range 2 { // again changes nothing
			if err := db.AddTestimonies(ctx(), list); err != nil {
				t.Fatal(err)
			}
		}
		for i, place := range map[int]claim.Ref{0: ref(0, 7, 3), 2: ref(1, 2, 0), 3: ref(0, 7, 4)} {
			got, index, found, err := db.TestimonyOf(ctx(), place)
			if err != nil || !found || index != i {
				t.Errorf("%s: place %d, %v, %v; want %d", place, index, found, err, i)
			}
			want := *first
			want.Places = nil
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got %+v, want %+v", place, got, want)
			}
		}
		// What was not answered for at first is known later.
		more := signed(1, noon+9, ref(0, 7, 3), ref(0, 7, 9), ref(1, 2, 0), ref(0, 7, 4))
		if err := db.AddTestimonies(ctx(), []*store.Testimony{more}); err != nil {
			t.Fatal(err)
		}
		if got, index, found, err := db.TestimonyOf(ctx(), ref(0, 7, 9)); err != nil || !found || index != 1 || got.At != noon {
			t.Errorf("got place %d, %v, %v, written at %d", index, found, err, got.At)
		}
		asked := append(slices.Clone(many), ref(0, 7, 3), ref(0, 7, 5), ref(0, 8, 3), ref(3, 100, 0))
		testified, err := db.Testified(ctx(), asked)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range asked {
			_, _, found, err := db.TestimonyOf(ctx(), r)
			if want := slices.Contains(many, r) || r == ref(0, 7, 3); testified[r] != want || found != want || err != nil {
				t.Errorf("%s: testified %v, found %v, %v; want %v", r, testified[r], found, err, want)
			}
		}
		if got, err := db.Testified(ctx(), nil); err != nil || len(got) != 0 {
			t.Errorf("of nothing, %v is testified, %v", got, err)
		}
	})
}
