package seal

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb/note"

	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/fault"
)

// KeyVariable names the environment variable that can hold the signing keys in place of a file.
const KeyVariable = "TANPU_LOG_KEY"

// A Signer signs heads of one log and remembers the last one in a file outside the database. Two keys sign
// while one takes over from the other: whoever changes the file with the keys need not stop those who sign.
type Signer struct {
	file   string // holds the last signed head
	secret string // the file with the keys; "" where they came from the environment

	mu   sync.Mutex
	ring ring   // guarded by mu, as is all that follows
	read string // the text of that file
	last proof.Checkpoint
	text []byte // the last signed head
}

// A ring is keys of one log.
type ring struct {
	signers   []note.Signer
	verifiers []note.Verifier
	keys      []string // their vkeys
}

// CreateKey makes a signing key for a log of this name and writes it to a new file, and beside it, as
// FILE.head, that nothing was signed yet. It returns the public half, a vkey of signed-note.
func CreateKey(file, origin string) (vkey string, err error) {
	skey, vkey, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		return "", err
	}
	if _, err := note.NewVerifier(vkey); err != nil {
		return "", fault.New(fault.Invalid, "%q cannot name a log: a name has no spaces and no plus sign", origin)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("writing the log's key: %w", err)
	}
	_, err = f.WriteString(skey + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", fmt.Errorf("writing the log's key: %w", err)
	}
	return vkey, writeFile(headFile(file), nil)
}

const headSuffix = ".head"

func headFile(keyFile string) string { return keyFile + headSuffix }

// LoadSigner reads the signing keys, one a line, from a file that only its owner can read, or from
// the environment if keys is not empty; and the last signed head from FILE.head, which must be there.
func LoadSigner(file, keys string) (*Signer, error) {
	s, err := loadKeys(file, keys)
	if err != nil {
		return nil, err
	}
	return s, s.recall()
}

func loadKeys(file, keys string) (*Signer, error) {
	s := &Signer{file: headFile(file)}
	if keys == "" {
		s.secret = file
		return s, s.reload()
	}
	var err error
	s.ring, err = readRing(file, keys)
	return s, err
}

// reload reads the keys from their file, if it has changed.
func (s *Signer) reload() error {
	if s.secret == "" {
		return nil
	}
	text, err := readSecret(s.secret)
	if err != nil || text == s.read {
		return err
	}
	ring, err := readRing(s.secret, text)
	switch {
	case err != nil:
		return err
	case len(s.ring.keys) > 0 && ring.origin() != s.ring.origin():
		return fault.New(fault.Conflict, "%s is now the key of the log %s, and was that of %s: end this server and start it again", s.secret, ring.origin(), s.ring.origin())
	}
	s.ring, s.read = ring, text
	return nil
}

// readRing reads keys, one a line.
func readRing(file, keys string) (r ring, err error) {
	for line := range strings.Lines(keys) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if err := r.add(line); err != nil {
			return r, err
		}
	}
	if len(r.signers) == 0 {
		return r, fault.New(fault.Invalid, "there is no key in %s", file)
	}
	return r, nil
}

// readSecret reads a file that nobody else can read.
func readSecret(file string) (text string, err error) {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fault.New(fault.NotFound, "there is no log key %s; tanpu init makes one, or name it with --log-key", file)
	}
	if err != nil {
		return "", err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return "", fault.New(fault.Invalid, "others can read the log's key %s (mode %04o); set it to 0600", file, mode)
	}
	bytes, err := os.ReadFile(file)
	return string(bytes), err
}

// add adds a key of the same log. The public half follows from the private one.
func (r *ring) add(skey string) error {
	signer, err := note.NewSigner(skey)
	if err != nil {
		return fault.New(fault.Invalid, "the log's key cannot be read: it is no PRIVATE+KEY+… of signed-note")
	}
	vkey, err := proof.PublicKey(skey)
	if err != nil {
		return err
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	if len(r.signers) > 0 && signer.Name() != r.origin() {
		return fault.New(fault.Invalid, "the log's keys are for two logs, %s and %s", r.origin(), signer.Name())
	}
	r.signers, r.verifiers, r.keys = append(r.signers, signer), append(r.verifiers, verifier), append(r.keys, vkey)
	return nil
}

// origin is the name of the log.
func (r *ring) origin() string { return r.signers[0].Name() }

// recall reads the keys, if they have changed, and the last signed head.
func (s *Signer) recall() error {
	if err := s.reload(); err != nil {
		return err
	}
	text, err := os.ReadFile(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.NotFound, "there is no %s, which holds the last head that was signed: copy it from another server; where there is none, the newest checkpoint that anybody has belongs there (docs/runbook.md, The whole machine is gone); an empty file says that nothing was signed yet", s.file)
	}
	if err != nil || len(text) == 0 {
		return err
	}
	c, _, err := proof.OpenCheckpoint(text, s.ring.origin(), s.ring.verifiers...)
	if err != nil {
		return fmt.Errorf("reading the last signed head in %s: %w", s.file, err)
	}
	s.last, s.text = c, text
	return nil
}

// Trust writes a checkpoint, which must be signed by the keys, as the last signed head: for another server
// of the same log, or when the file was lost. Whoever does it vouches that no longer log was signed; a file that says
// otherwise stays as it is, or an older database could be signed on.
func Trust(file, keys string, checkpoint []byte) error {
	s, err := loadKeys(file, keys)
	if err != nil {
		return err
	}
	c, _, err := proof.OpenCheckpoint(checkpoint, s.ring.origin(), s.ring.verifiers...)
	if err != nil {
		return err
	}
	if err := s.recall(); err == nil && (s.last.Size > c.Size || s.last.Size == c.Size && s.last.Root != c.Root) {
		return fault.New(fault.Conflict, "%s holds a head of %d entries, and this one is of %d and does not extend it: the database is older than the log; restore it with: tanpu restore",
			s.file, s.last.Size, c.Size)
	}
	return writeFile(s.file, checkpoint)
}

// Origin is the name of the log.
func (s *Signer) Origin() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ring.origin()
}

// Keys are the public halves of its keys, as vkeys of signed-note.
func (s *Signer) Keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ring.keys)
}

// Verifiers are those of its keys.
func (s *Signer) Verifiers() []note.Verifier {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ring.verifiers)
}

// Last is the last head that was signed; of no entries when none was.
func (s *Signer) Last() proof.Checkpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// Checkpoint is that head, signed.
func (s *Signer) Checkpoint() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.text)
}

// Sign signs a head that the caller has found to extend the one before. The signed head is in the file before
// anybody sees it: whoever has seen a signature will find it remembered. When another server that shares the
// file has signed meanwhile, nothing is signed, and that is the last head: the caller knows nothing of it, and it can
// be that of another copy of the database. One of the keys must be among those by which the log is believed.
func (s *Signer) Sign(c, before proof.Checkpoint, believed []string) (signed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.alone(func() error {
		if s.last.Size != before.Size || s.last.Root != before.Root || c.Size <= s.last.Size {
			return nil
		}
		if c.Origin != s.ring.origin() {
			return fmt.Errorf("a head of %s is not to be signed by the key of %s", c.Origin, s.ring.origin())
		}
		if !slices.ContainsFunc(s.ring.keys, func(k string) bool { return slices.Contains(believed, k) }) {
			return fault.New(fault.Conflict, "the log names no key of this server's that signs: a key has ended, and its successor belongs into %s", strings.TrimSuffix(s.file, headSuffix))
		}
		text, err := note.Sign(&note.Note{Text: c.Text()}, s.ring.signers...)
		if err != nil {
			return fmt.Errorf("signing a head: %w", err)
		}
		signed = true
		return s.keep(c, text)
	})
	return signed && err == nil, err
}

// Remember takes a head that one of the keys has signed, and that the caller has found to extend the one before, as the last
// one: another server signed it.
func (s *Signer) Remember(text []byte, before proof.Checkpoint) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.alone(func() error {
		c, _, err := proof.OpenCheckpoint(text, s.ring.origin(), s.ring.verifiers...)
		switch {
		case err != nil:
			return fmt.Errorf("remembering a head: %w", err)
		case s.last.Size != before.Size || s.last.Root != before.Root:
			return errors.New("another process has signed a head meanwhile")
		case c.Size <= s.last.Size:
			return nil
		}
		return s.keep(c, text)
	})
}

// alone runs f while no other process that shares the file signs, with the last head read anew.
func (s *Signer) alone(f func() error) error {
	held, err := os.OpenFile(s.file+".lock", os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("signing a head: %w", err)
	}
	defer held.Close()
	if err := lock(held); err != nil {
		return fmt.Errorf("signing a head: another process is at it: %w", err)
	}
	if err := s.recall(); err != nil {
		return err
	}
	return f()
}

func (s *Signer) keep(c proof.Checkpoint, text []byte) error {
	if err := writeFile(s.file, text); err != nil {
		return fmt.Errorf("remembering a head: %w", err)
	}
	s.last, s.text = c, text
	return nil
}

// writeFile replaces a file's content, durably and whole.
func writeFile(name string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
