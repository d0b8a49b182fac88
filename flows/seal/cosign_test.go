package seal_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/flows/seal"
	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/store/storetest"
)

// A shy witness cosigns what it is shown, unless it is away.
type shy struct {
	*proof.Cosigner
	away  bool
	asked int
}

func (s *shy) Cosign(_ context.Context, _ int64, _ []tlog.Hash, checkpoint []byte) ([]byte, error) {
	s.asked++
	if s.away {
		return nil, errors.New("nobody is at home")
	}
	text, _, _ := strings.Cut(string(checkpoint), "\n\n")
	line, err := s.Cosigner.Cosign(text+"\n", now.Unix())
	return []byte(line), err
}

func newShy(t *testing.T, name string) *shy {
	t.Helper()
	skey, _, err := proof.GenerateWitnessKey(bytes.NewReader([]byte(strings.Repeat(name, 32))), name)
	if err != nil {
		t.Fatal(err)
	}
	cosigner, err := proof.NewCosigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	return &shy{Cosigner: cosigner}
}

// A witness that was away when the last head was signed is asked again though nothing happens, until the head has its
// signature: or all receipts of a quiet night would go without.
func TestWitnessComesBack(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		here, away := newShy(t, "here.example"), newShy(t, "away.example")
		away.away = true
		s := w.sealer(here, away)
		at := now
		turn := func() int {
			t.Helper()
			if _, err := s.Step(t.Context(), at); err != nil {
				t.Fatal(err)
			}
			at = at.Add(time.Second)
			signed, err := note.Open([]byte(mustLog(t, w.db).Checkpoint), note.VerifierList(append(w.signer().Verifiers(), here.Verifier(), away.Verifier())...))
			if err != nil {
				t.Fatal(err)
			}
			return len(signed.Sigs)
		}
		if n := turn(); n != 2 {
			t.Errorf("%d signatures, want those of the log and of the witness that is here", n)
		}
		for range 5 {
			turn()
		}
		if here.asked != 1 || away.asked > 4 {
			t.Errorf("the one that has signed was asked %d times, the one that is away %d times", here.asked, away.asked)
		}
		away.away = false
		at = at.Add(time.Minute)
		if n := turn(); n != 3 {
			t.Errorf("%d signatures of a head whose last witness is back", n)
		}
		before := away.asked
		turn()
		// Another server does not ask again for what is published.
		s = w.sealer(here, away)
		if n := turn(); n != 3 || away.asked != before || here.asked != 1 {
			t.Errorf("%d signatures, and the witnesses were asked %d and %d times, want 1 and %d", n, here.asked, away.asked, before)
		}
	})
}

var _ seal.Witness = (*shy)(nil)
