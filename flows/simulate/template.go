package simulate

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/tanpu/tanpu/flows/link"
	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/flows/seal"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/store"
)

// A world begins on a Tuesday in March.
var beginning = time.Date(2026, 3, 10, 12, 0, 0, 0, local)

const (
	parts  = 2
	origin = "simulation.example/log"
	crowd  = 12 // members of whom each has one link only: enough to open a day's sums
)

// A template is the database with which all worlds begin: documents are published, some members have joined. It is
// made once, and copied.
type template struct {
	database []byte
	consents []granted
	rulebook int64
}

// granted is a consent of the template.
type granted struct {
	link.Consent
	sub     string
	account store.AccountID
}

var theTemplate = sync.OnceValues(makeTemplate)

func makeTemplate() (*template, error) {
	dir, err := os.MkdirTemp(folder(), "tanpu-simulate-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	ctx, file := context.Background(), filepath.Join(dir, "template.db")
	lines := &lines{idle: map[string][]*line{}}
	defer lines.close()
	sim := store.Simulation{Driver: &stage{lines: lines}, Random: rand.NewChaCha8([32]byte{'t'})}
	if err := store.CreateSimulated(ctx, file, parts, sim); err != nil {
		return nil, err
	}
	db, err := store.OpenSimulated(ctx, file, sim)
	if err != nil {
		return nil, err
	}
	t := new(template)
	err = errors.Join(t.fill(ctx, db, dir), db.Close())
	lines.close() // which takes all into the file
	if err == nil {
		t.database, err = os.ReadFile(file)
	}
	return t, err
}

// fill publishes, begins the log, registers partners' keys and lets members join.
func (t *template) fill(ctx context.Context, db *store.DB, dir string) error {
	files, err := files()
	if err != nil {
		return err
	}
	before := beginning.AddDate(0, 0, -20)
	report, err := publish.PublishAt(ctx, db, files, before)
	if err != nil {
		return err
	}
	t.rulebook = report.Rulebook
	book, err := publish.Load(ctx, db, report.Rulebook)
	if err != nil {
		return err
	}
	signer, err := newSigner(dir)
	if err != nil {
		return err
	}
	if err := seal.Begin(ctx, db, signer, before); err != nil {
		return err
	}
	for _, name := range partners {
		k := partnerKey(name, 0)
		if err := db.AddPartnerKey(ctx, store.PartnerKey{Partner: name, Public: k.Public().(ed25519.PublicKey), Created: before.UnixMicro()}); err != nil {
			return err
		}
	}
	join := func(c link.Consent) (store.AccountID, error) {
		c.Since = beginning.AddDate(-6, 0, 0)
		g, err := link.Grant(ctx, db, book, c, before)
		t.consents = append(t.consents, granted{c, g.Sub, g.Account})
		return g.Account, err
	}
	for i := range 3 {
		c := link.Consent{Programme: "city", Partner: "rides", Purposes: claim.Purposes}
		if c.Account, err = join(c); err != nil {
			return err
		}
		c.Partner = "bank"
		if i == 2 {
			c.Purposes = []string{claim.Credit}
		}
		if _, err = join(c); err != nil {
			return err
		}
		c.Programme, c.Partner, c.Objects = "home", "grid", []string{fmt.Sprintf("meter-%d", i)}
		if _, err = join(c); err != nil {
			return err
		}
	}
	for range crowd {
		if _, err := join(link.Consent{Programme: "city", Partner: "rides", Purposes: claim.Purposes}); err != nil {
			return err
		}
	}
	return nil
}

var partners = []string{"rides", "bank", "grid"}

// partnerKey is a partner's n-th key.
func partnerKey(partner string, n int) ed25519.PrivateKey {
	seed := sha256.Sum256(fmt.Appendf(nil, "%s %d", partner, n))
	return ed25519.NewKeyFromSeed(seed[:])
}

// logKey is the log's first secret key, as signed-note writes it.
func logKey() string {
	seed := sha256.Sum256([]byte(origin))
	public := ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)
	hash := sha256.Sum256(append([]byte(origin+"\n\x01"), public...))
	return fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", origin, binary.BigEndian.Uint32(hash[:]), base64.StdEncoding.EncodeToString(append([]byte{1}, seed[:]...)))
}

// newSigner makes a signer that has not signed yet.
func newSigner(dir string) (*seal.Signer, error) {
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte(logKey()+"\n"), 0o600); err != nil {
		return nil, err
	}
	return forgetSigned(dir)
}

// forgetSigned makes one that knows nothing of what it signed.
func forgetSigned(dir string) (*seal.Signer, error) {
	if err := os.WriteFile(filepath.Join(dir, "key.head"), nil, 0o600); err != nil {
		return nil, err
	}
	return loadSigner(dir)
}

func loadSigner(dir string) (*seal.Signer, error) {
	return seal.LoadSigner(filepath.Join(dir, "key"), "")
}
