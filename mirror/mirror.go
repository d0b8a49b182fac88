// Package mirror holds a transparency log to its word with nothing but what it publishes: its signed head, the tiles of
// its tree and its entries, as C2SP's tlog-tiles serves them. It recomputes everything from the entries up to the head,
// follows each partition's chain of batches, adds up the totals, and can keep a copy, so that the next time only what is
// new is fetched and whoever rewrote what was there before is found out.
//
// Everything that comes from the server, or lies in the copy, is hostile until it was led back to a head that a trusted key
// has signed. In memory there are a few bundles of entries, at most 17 MB each, and some hundred bytes a partition.
package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/record"
)

// A Config says which log to check, and by which keys.
type Config struct {
	URL      string   // of the log: its head is at URL/checkpoint
	Keys     []string // vkeys of the log, and of witnesses that must all have cosigned its head
	Dir      string   // holds the copy; "" keeps none
	Progress func(share float64, entries int64)

	Shown   int           // findings of a step that are told one by one; 0 is 20
	Pause   time.Duration // before a request is tried again, then twice as long, and so on; 0 is half a second
	Timeout time.Duration // of one request; 0 is a minute
}

// How it came that a log's key is trusted. Without one among Config.Keys it is those that the copy remembers, or else the one
// that the log itself names.
const (
	Given    = "given"
	Copied   = "copy"
	FirstUse = "first-use"
)

// Run checks a log. What is wrong with it is in the report; an error means that it was not possible to look.
func Run(ctx context.Context, c Config) (*Report, error) {
	began := time.Now()
	m, err := open(c)
	if err != nil {
		return nil, err
	}
	defer m.folder.close()
	err = m.check(ctx)
	if wrong := (*Broken)(nil); errors.As(err, &wrong) {
		m.found(Finding(*wrong))
		err = nil
	}
	if err != nil {
		return nil, err
	}
	m.conclude()
	m.report.Seconds = time.Since(began).Seconds()
	return &m.report, nil
}

// A mirroring is one run.
type mirroring struct {
	Config
	server    *server
	folder    *folder // nil without a copy
	before    head    // the last that was checked and copied; without text at first
	keys      keyring // by which heads are believed
	witnesses []note.Verifier
	head      head
	findings
	report   Report
	sequence *record.Sequence
	sums     record.Sums
}

// A head is a checkpoint, and how it was signed.
type head struct {
	proof.Checkpoint
	text []byte
	note *note.Note
}

func open(c Config) (*mirroring, error) {
	s, err := newServer(&c)
	if err != nil {
		return nil, err
	}
	if c.Shown == 0 {
		c.Shown = 20
	}
	m := &mirroring{Config: c, server: s, findings: findings{shown: c.Shown}, sequence: record.NewSequence()}
	m.report.URL = s.base
	if err := m.readKeys(); err != nil {
		return nil, err
	}
	if c.Dir == "" {
		return m, nil
	}
	if m.folder, err = openFolder(c.Dir); err != nil {
		return nil, err
	}
	if err := m.recall(); err != nil {
		m.folder.close()
		return nil, err
	}
	return m, nil
}

// readKeys tells the log's keys from those of witnesses, which are of another kind.
func (m *mirroring) readKeys() error {
	for _, text := range m.Keys {
		if w, err := proof.NewCosignatureVerifier(text); err == nil {
			m.witnesses = append(m.witnesses, w)
			continue
		}
		if !m.keys.add(text) {
			return fault.New(fault.Invalid, "%.200q is no public key of a log or of a witness: name+hash+base64", text)
		}
		if log := m.keys.log(); !strings.HasPrefix(text, log+"+") {
			return fault.New(fault.Invalid, "these are keys of two logs, %s and %s", log, text)
		}
	}
	if len(m.keys.texts) > 0 {
		m.report.Trust = Given
	}
	return nil
}

// recall reads the last head from the copy, and the keys by which it was believed.
func (m *mirroring) recall() error {
	text, err := m.folder.checkpoint()
	if err != nil || text == nil {
		return err
	}
	keys, err := m.folder.keys()
	if err != nil {
		return err
	}
	all := keyring{}
	for _, k := range slices.Concat(keys.texts, m.keys.texts) {
		all.add(k)
	}
	origin, _, _ := strings.Cut(string(text), "\n")
	if m.before, err = all.open(text, origin); err != nil {
		return fault.New(fault.Conflict, "the head in %s is not one that its log signed, so that nothing can be held against it: %v", m.Dir, err)
	}
	if len(m.keys.texts) == 0 {
		m.keys, m.report.Trust = keys, Copied
	}
	if m.keys.log() != origin {
		return fault.New(fault.Conflict, "%s is a copy of the log %s, and not of %s", m.Dir, origin, m.keys.log())
	}
	return nil
}

// A keyring is public keys of one log, each once.
type keyring struct {
	texts     []string
	verifiers []note.Verifier
}

// add reports whether it is a key; one that is there already is not taken twice.
func (k *keyring) add(text string) bool {
	v, err := note.NewVerifier(text)
	if err == nil && !slices.Contains(k.texts, text) {
		k.texts, k.verifiers = append(k.texts, text), append(k.verifiers, v)
	}
	return err == nil
}

// log is the name of the log that the first key is of.
func (k *keyring) log() string { return k.verifiers[0].Name() }

// open opens a head of a log.
func (k *keyring) open(text []byte, origin string) (head, error) {
	c, n, err := proof.OpenCheckpoint(text, origin, k.verifiers...)
	return head{c, text, n}, err
}

// check tells the story: which head, by whose word, after which one, over what.
func (m *mirroring) check(ctx context.Context) error {
	text, err := m.server.checkpoint(ctx)
	if err != nil {
		return err
	}
	if err := m.trust(ctx, text); err != nil {
		return err
	}
	if m.head, err = m.believe(text); err != nil {
		return err
	}
	m.report.tell(&m.head)
	if err := m.cosigned(); err != nil {
		return err
	}
	if err := m.extends(ctx, m.before, m.head); err != nil {
		return m.unshown(err)
	}
	m.report.Known = m.before.Size
	w := &walk{mirroring: m}
	if err := w.all(ctx); err != nil {
		return m.unshown(err)
	}
	named := m.named()
	if err := m.again(ctx); err != nil || !named {
		return err
	}
	return m.folder.remember(m.head.text, m.keys.texts)
}

// trust settles by which keys a head is believed.
func (m *mirroring) trust(ctx context.Context, text []byte) error {
	if len(m.keys.texts) > 0 {
		return nil
	}
	m.report.Trust = FirstUse
	body, _, _ := strings.Cut(string(text), "\n\n")
	c, err := proof.ParseCheckpoint(body + "\n")
	if err != nil {
		return &Broken{StepCheckpoint, "checkpoint", err.Error()}
	}
	if c.Size == 0 {
		return fault.New(fault.Unfit, "the log %.200q has no entries, and so does not say which key is its own; name it", c.Origin)
	}
	t := tlog.Tile{H: proof.TileHeight, L: proof.EntriesLevel, W: int(min(c.Size, full))}
	_, err = m.server.tile(ctx, t, func(bundle []byte) error {
		entries, err := proof.ParseBundle(bundle, t.W)
		if err != nil {
			return &Broken{StepEntries, proof.TilePath(t), err.Error()}
		}
		e, err := record.Parse(entries[0])
		first, ok := e.(*record.Origin)
		if err != nil || !ok {
			return &Broken{record.Beginning, "entry 0", "the first entry is not the log's origin, and so does not say which key is its own"}
		}
		if !m.keys.add(first.Key) || m.keys.log() != c.Origin {
			return &Broken{record.Beginning, "entry 0", fmt.Sprintf("the key that the first entry names is not one of the log %.200q", c.Origin)}
		}
		return nil
	})
	return err
}

// believe opens a head that the server gave.
func (m *mirroring) believe(text []byte) (head, error) {
	origin := m.keys.log()
	h, err := m.keys.open(text, origin)
	unverified, invalid := (*note.UnverifiedNoteError)(nil), (*note.InvalidSignatureError)(nil)
	switch {
	case errors.As(err, &unverified):
		why := fmt.Sprintf("the head is not signed by a key of the log %s that is trusted", origin)
		if c, err := proof.ParseCheckpoint(unverified.Note.Text); err == nil && c.Origin != origin {
			why += fmt.Sprintf("; it is one of %.200q. Where one log goes on from another, ask for each by its own key and in a folder of its own; the one before is under /logs/1, /logs/2 and so on", c.Origin)
		}
		return h, &Broken{StepSignature, "checkpoint", why}
	case errors.As(err, &invalid):
		return h, &Broken{StepSignature, "checkpoint", fmt.Sprintf("the signature of %s under the head is wrong", origin)}
	case err != nil:
		return h, &Broken{StepCheckpoint, "checkpoint", err.Error()}
	}
	return h, nil
}

// cosigned makes sure of the witnesses that are asked for, and that they saw this very head.
func (m *mirroring) cosigned() error {
	for _, w := range m.witnesses {
		signed, err := note.Open(m.head.text, note.VerifierList(w))
		if err != nil {
			return &Broken{StepWitness, "checkpoint", fmt.Sprintf("witness %s has not cosigned the head", w.Name())}
		}
		for _, s := range signed.Sigs {
			if unix, err := proof.CosignatureTime(s); err == nil {
				m.report.Cosigned = append(m.report.Cosigned, Cosigned{w.Name(), time.Unix(unix, 0).UTC()})
			}
		}
	}
	return nil
}

// extends makes sure that one head goes on from another: nothing that was there is gone or changed.
func (m *mirroring) extends(ctx context.Context, before, after head) error {
	if before.text == nil {
		return nil
	}
	conflict := func(format string, args ...any) error {
		m.report.Evidence = []string{string(before.text), string(after.text)}
		if err := m.folder.keep(m.report.Evidence); err != nil {
			m.report.Notes = append(m.report.Notes, fmt.Sprintf("the two heads could not be kept: %v", err))
		}
		return &Broken{StepHistory, "checkpoint", fmt.Sprintf(format, args...)}
	}
	switch {
	case after.Size < before.Size:
		return conflict("the log is rewound: a head of %d entries was signed before, and now one of %d is served", before.Size, after.Size)
	case after.Size == before.Size && after.Root != before.Root:
		return conflict("the log is forked: it signed two heads of %d entries, %s and %s", after.Size, before.Root, after.Root)
	case after.Size == before.Size:
		return nil
	}
	path, err := m.prove(ctx, before, after)
	if err != nil {
		return err
	}
	if proof.CheckExtends(path, before.Checkpoint, after.Checkpoint) != nil {
		return conflict("the log is forked: the head of %d entries does not extend that of %d which it signed before", after.Size, before.Size)
	}
	return nil
}

// unshown keeps a head that the log signed and has not shown what it stands for: with another one, signed later, it can be
// evidence.
func (m *mirroring) unshown(err error) error {
	if wrong := (*Broken)(nil); errors.As(err, &wrong) {
		if err := m.folder.keep([]string{string(m.head.text)}); err != nil {
			m.report.Notes = append(m.report.Notes, fmt.Sprintf("the head could not be kept: %v", err))
		}
	}
	return err
}

// prove fetches a path that can prove that one head extends another. It never comes from the copy.
func (m *mirroring) prove(ctx context.Context, before, after head) ([]tlog.Hash, error) {
	if before.Size == 0 {
		return nil, nil
	}
	tiles := &hashTiles{ctx: ctx, server: m.server}
	path, err := tlog.ProveTree(after.Size, before.Size, tlog.TileHashReader(tlog.Tree{N: after.Size, Hash: after.Root}, tiles))
	switch {
	case tiles.err != nil:
		return nil, tiles.err
	case err != nil:
		return nil, &Broken{StepTiles, "checkpoint", fmt.Sprintf("the tiles do not lead to the root of the head of %d entries", after.Size)}
	}
	return path, nil
}

// named makes sure that the log names a key that signed its head, as it must for those who come without one. From now on
// heads are believed by all keys that it names, too: a head that is believed stands for them.
func (m *mirroring) named() bool {
	var keys keyring
	for _, text := range m.sequence.Keys {
		if !strings.HasPrefix(text, m.head.Origin+"+") || !keys.add(text) {
			m.found(Finding{StepKeys, "entries", fmt.Sprintf("the log names a key that is none of its own: %.200q", text)})
		}
	}
	if m.head.Size == 0 {
		return true
	}
	if o := m.sequence.Origin; o != nil && o.Origin != m.head.Origin {
		m.found(Finding{record.Beginning, "entry 0", fmt.Sprintf("it is the origin of the log %.200q, and the head that of %s", o.Origin, m.head.Origin)})
	}
	if _, err := keys.open(m.head.text, m.head.Origin); err != nil {
		m.found(Finding{StepKeys, "checkpoint", "the head is not signed by any key that the log's entries name"})
		return false
	}
	m.keys = keys // those that have ended are believed no longer
	return true
}

// again asks for the head once more: a log that tells two stories must tell them in turn.
func (m *mirroring) again(ctx context.Context) error {
	text, err := m.server.checkpoint(ctx)
	if err != nil || bytes.Equal(text, m.head.text) {
		return err
	}
	later, err := m.believe(text)
	if err == nil {
		err = m.extends(ctx, m.head, later)
	}
	if err == nil && later.Size > m.head.Size {
		m.report.Notes = append(m.report.Notes, fmt.Sprintf("meanwhile the log has grown to %d entries", later.Size))
	}
	return err
}
