// Package witness watches transparency logs for somebody who does not run them: a regulator, a verifier, a partner. It
// signs the heads of a log as long as each extends the one before, so that a log cannot show one history to some and another
// to others without two heads of it that no honest witness signed both of.
//
// It follows tlog-witness and tlog-cosignature of C2SP (https://c2sp.org). It keeps nothing of a log but its last head.
package witness

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/fault"
)

// A Config is what the operator of a witness decides.
type Config struct {
	// Dir is the witness's folder, which Create made: its secret key, and the last head that it signed of each log. Never put
	// back an older copy of it, for with one the witness would sign what contradicts its own signatures.
	Dir string

	// Logs are those to watch. A log that is left out keeps its last head in the folder.
	Logs []Log

	// Now is the clock that cosignatures are dated by; nil for the system's.
	Now func() time.Time

	// Journal takes notes of what was signed and refused; nil for none.
	Journal *slog.Logger
}

// A Log is one to watch.
type Log struct {
	Origin string   // the first line of its checkpoints
	Keys   []string // its public keys, as signed-note writes them; one of them has to sign, so a next key can be named early
}

// A Witness cosigns. Several goroutines may use it.
type Witness struct {
	cosigner *proof.Cosigner
	logs     map[string]*watched
	folder   *folder
	now      func() time.Time
	journal  *slog.Logger
}

// watched is a log and what we know of it.
type watched struct {
	origin    string
	verifiers []note.Verifier

	mu     sync.Mutex       // held from looking at the head until the next one is on the disk; guards what follows
	head   proof.Checkpoint // the last that we signed; before the first, that of no leaves
	kept   bool             // the head is on the disk
	damage error            // why we sign nothing more for this log
}

// A SizeError says that a witness's last head of a log is of another size than the request took it to be.
type SizeError struct {
	Size int64 // so many leaves it has
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("the last head that the witness signed has %d leaves", e.Size)
}

// Open starts the witness that Create made in a folder. A log whose last head cannot be read is not signed for; the others are.
// Close it, and another process may open the folder.
func Open(c Config) (*Witness, error) {
	w := &Witness{logs: map[string]*watched{}, now: c.Now, journal: c.Journal}
	if w.now == nil {
		w.now = time.Now
	}
	if w.journal == nil {
		w.journal = slog.New(slog.DiscardHandler)
	}
	if err := w.configure(c.Logs); err != nil {
		return nil, err
	}
	var err error
	if w.folder, w.cosigner, err = openFolder(c.Dir); err != nil {
		return nil, err
	}
	for _, l := range w.logs {
		w.recall(l)
	}
	return w, nil
}

// Close lets go of the folder. Stop serving before.
func (w *Witness) Close() error { return w.folder.close() }

// VerifierKey is the public key of the witness, for all who want to rely on it.
func (w *Witness) VerifierKey() string { return w.cosigner.VerifierKey() }

func (w *Witness) configure(logs []Log) error {
	if len(logs) == 0 {
		return errors.New("a witness needs a log to watch")
	}
	for _, l := range logs {
		if _, twice := w.logs[l.Origin]; twice {
			return fmt.Errorf("log %q is named twice", l.Origin)
		}
		if _, err := proof.ParseCheckpoint(proof.Checkpoint{Origin: l.Origin}.Text()); err != nil {
			return fmt.Errorf("no log can be called %q: %w", l.Origin, err)
		}
		verifiers, err := verifiers(l.Keys)
		if err != nil {
			return fmt.Errorf("the keys of log %q: %w", l.Origin, err)
		}
		w.logs[l.Origin] = &watched{origin: l.Origin, verifiers: verifiers}
	}
	return nil
}

func verifiers(keys []string) ([]note.Verifier, error) {
	if len(keys) == 0 {
		return nil, errors.New("there are none")
	}
	var list []note.Verifier
	for _, key := range keys {
		v, err := note.NewVerifier(key)
		if err != nil {
			return nil, fmt.Errorf("%.200q: %w", key, err)
		}
		same := func(other note.Verifier) bool { return other.Name() == v.Name() && other.KeyHash() == v.KeyHash() }
		if slices.ContainsFunc(list, same) {
			return nil, fmt.Errorf("%.200q is named twice", key)
		}
		list = append(list, v)
	}
	return list, nil
}

// recall reads the last head of a log. Only a log that we never signed for begins at nothing: of any other a missing or
// damaged head could be made good only by its owner, whom we do not trust, so we sign no more.
func (w *Witness) recall(l *watched) {
	head, known, err := w.folder.load(l.origin, w.cosigner.Verifier())
	switch {
	case err != nil:
		l.damage = err
		w.journal.Error("nothing will be signed for a log", "origin", l.origin, "why", err)
	case known:
		l.head, l.kept = head, true
	default:
		l.head = proof.Checkpoint{Origin: l.origin, Root: proof.EmptyRoot}
	}
}

// Add carries out add-checkpoint: it gives the signature line for a head of a log that extends the last one it signed. The
// head is on the disk before the signature leaves us. If we crash before, nobody has a signature; if we crash after, the log
// learns the size by a SizeError and is given a signature of the same head when it asks again.
func (w *Witness) Add(r Request) (line string, err error) {
	origin, _, _ := strings.Cut(string(r.Checkpoint), "\n")
	l, known := w.logs[origin]
	if !known {
		return "", fault.New(fault.NotFound, "this witness does not watch a log %.200q", origin)
	}
	next, signed, err := l.open(r.Checkpoint)
	if err != nil {
		return "", err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.judge(r, next); err != nil {
		w.noteRefusal(l, next, evidence(signed), err)
		return "", err
	}
	line, err = w.cosigner.Cosign(signed.Text, w.now().Unix())
	if err != nil {
		return "", err
	}
	if err := w.keep(l, next, signed, line); err != nil {
		return "", fmt.Errorf("keeping the head of log %q of size %d: %w", origin, next.Size, err)
	}
	w.journal.Info("signed", "origin", origin, "size", next.Size, "root", next.Root.String())
	return line, nil
}

// open verifies that the log signed, before anything else is looked at.
func (l *watched) open(checkpoint []byte) (proof.Checkpoint, *note.Note, error) {
	next, signed, err := proof.OpenCheckpoint(checkpoint, l.origin, l.verifiers...)
	unverified, invalid := new(note.UnverifiedNoteError), new(note.InvalidSignatureError)
	switch {
	case errors.As(err, &unverified), errors.As(err, &invalid):
		return next, nil, fault.New(fault.Forbidden, "no key of this log that we know signed this: %v", err)
	case err != nil:
		return next, nil, fault.New(fault.Invalid, "%v", err)
	}
	return next, signed, nil
}

// judge tells whether the next head may be signed, in the order that tlog-witness gives to its answers.
func (l *watched) judge(r Request, next proof.Checkpoint) error {
	switch {
	case l.damage != nil:
		return fault.New(fault.Unavailable, "the witness cannot tell which head of this log it signed last, and signs no other")
	case r.Old > next.Size:
		return fault.New(fault.Invalid, "the head has %d leaves, and the old one %d", next.Size, r.Old)
	case r.Old != l.head.Size:
		return &SizeError{l.head.Size}
	case next.Size == l.head.Size && next.Root != l.head.Root:
		return fault.New(fault.Conflict, "we know another head of this size, %s", l.head.Root)
	}
	if err := proof.CheckExtends(r.Proof, l.head, next); err != nil {
		return fault.New(fault.Unfit, "%v", err)
	}
	return nil
}

// noteRefusal keeps the checkpoint in the journal where the log signed it and it does not follow: that is the evidence, or the
// log's own mistake. It has no signatures but the log's, for anybody can put others there and fill the journal. That a log has
// to ask again with another size is ordinary.
func (w *Witness) noteRefusal(l *watched, next proof.Checkpoint, checkpoint string, why error) {
	kind := fault.KindOf(why)
	if kind == fault.Conflict || kind == fault.Unfit {
		w.journal.Warn("a head does not follow", "origin", l.origin, "size", next.Size, "last", l.head.Size, "why", why,
			"checkpoint", checkpoint)
		return
	}
	w.journal.Info("not signed", "origin", l.origin, "size", next.Size, "last", l.head.Size, "why", why)
}

// keep puts the head on the disk, with the signatures of the log, for a head without them would be no evidence. The same head
// again is there already.
func (w *Witness) keep(l *watched, next proof.Checkpoint, signed *note.Note, line string) error {
	if l.kept && next.Size == l.head.Size {
		return nil
	}
	err := w.folder.keep(l.origin, evidence(signed)+line)
	if errors.Is(err, errUncertain) {
		l.damage = err // a start of the witness reads what is there
	}
	if err != nil {
		return err
	}
	l.head, l.kept = next, true
	return nil
}

// evidence is what was signed with those signatures that we verified.
func evidence(signed *note.Note) string {
	var b strings.Builder
	b.WriteString(signed.Text + "\n")
	for _, s := range signed.Sigs {
		fmt.Fprintf(&b, "— %s %s\n", s.Name, s.Base64)
	}
	return b.String()
}
