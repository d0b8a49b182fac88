package simulate

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tanpu/tanpu/flows/restore"
	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/store"
)

// A backup is a copy of the database as it was, and what the model knew then.
type backup struct {
	files [2][]byte
	size  int64 // of its log
	model *model
	keys  map[string]int
	rings int // of the log's keys
}

func (w *world) backUp() {
	s := w.server()
	if s == nil {
		return
	}
	s.stage.disarm()
	l, _, err := s.db.Log(w.ctx)
	b := &backup{size: l.Size, model: w.model.clone(), keys: maps.Clone(w.keys), rings: len(w.log.rings)}
	if err == nil {
		b.files, err = w.settled()
	}
	if err != nil {
		w.fail("simulation", "copying the database: %v", err)
		return
	}
	w.backup = b
}

// settled is a copy of which all is in the file: lines need not be closed to put it somewhere.
func (w *world) settled() ([2][]byte, error) {
	if err := w.lines.checkpoint(w.file); err != nil {
		return [2][]byte{}, err
	}
	return w.copy()
}

// restore puts the backup in the place of the database. Where more was signed since, no server must start on it. Then it
// is brought forward, or the database is found again after all.
func (w *world) restore() {
	if w.backup == nil {
		return
	}
	struck := w.faulty
	w.faulty = nil
	w.down()
	now, err := w.settled()
	var log *copiedLog
	if err == nil {
		log, err = w.copyLog()
	}
	if err == nil {
		err = w.put(w.backup.files)
	}
	signed, err2 := w.signed()
	if err = errors.Join(err, err2); err != nil {
		w.fail("simulation", "copying the database: %v", err)
		return
	}
	if w.refused(signed) && w.draw.IntN(3) > 0 {
		w.bringForward(log, struck)
		return
	}
	if err := w.put(now); err != nil {
		w.fail("simulation", "copying the database: %v", err)
	}
}

// signed is the size of the last head that was signed.
func (w *world) signed() (int64, error) {
	text, err := os.ReadFile(filepath.Join(w.dir, "key.head"))
	if err != nil || len(text) == 0 {
		return 0, err
	}
	body, _, _ := strings.Cut(string(text), "\n\n")
	c, err := proof.ParseCheckpoint(body + "\n")
	return c.Size, err
}

// refused tries to start a server on the backup.
func (w *world) refused(signed int64) bool {
	s, err := w.start(0, 0, nil)
	switch {
	case err == nil && signed > w.backup.size && !w.mutant.forgetful():
		w.fail("restore", "a server starts with a log of %d entries, and %d were signed", w.backup.size, signed)
	case err != nil && (signed <= w.backup.size || fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "older than the log")):
		w.fail("restore", "a server does not start with a log of %d entries, of which %d were signed: %v", w.backup.size, signed, err)
	case err != nil:
		w.cover.Other["an older database was refused"]++
	}
	if err == nil {
		if w.mutant.forgetful() {
			s.extend()
		}
		s.end()
	}
	return err != nil
}

// A copiedLog is a log as others have it.
type copiedLog struct {
	entries    [][]byte
	checkpoint []byte
}

func (l *copiedLog) Checkpoint(context.Context) ([]byte, error) { return l.checkpoint, nil }

func (l *copiedLog) Entries(_ context.Context, from, size int64) ([][]byte, error) {
	return l.entries[min(from, int64(len(l.entries))):min(size, int64(len(l.entries)))], nil
}

// calm opens the database for somebody for whom nothing goes wrong.
func (w *world) calm() (*store.DB, error) {
	return store.OpenSimulated(w.ctx, w.file, store.Simulation{Driver: &stage{lines: w.lines}, Random: w.random})
}

// copyLog reads the log of the database.
func (w *world) copyLog() (*copiedLog, error) {
	db, err := w.calm()
	if err != nil {
		return nil, err
	}
	defer db.Close()
	l, _, err := db.Log(w.ctx)
	if err != nil {
		return nil, err
	}
	c := &copiedLog{checkpoint: []byte(l.Checkpoint)}
	c.entries, err = db.LogEntries(w.ctx, l.Number, 0, int(l.Size))
	return c, err
}

// bringForward restores what the log has beyond the backup. Whoever does it may die at any step, and does it again.
func (w *world) bringForward(log *copiedLog, struck *Step) {
	if len(log.checkpoint) == 0 { // nothing was published: the head that was signed is all there is
		text, err := os.ReadFile(filepath.Join(w.dir, "key.head"))
		if err != nil {
			w.fail("simulation", "reading the last head: %v", err)
			return
		}
		log.checkpoint = text
	}
	for try := 0; ; try++ {
		s := &stage{lines: w.lines, mutant: w.mutant, met: w.met}
		if try == 0 && struck != nil && struck.How != unharmed {
			s.arm(struck)
		}
		err := w.forward(s, log)
		if err == nil {
			break
		}
		if s.on == "" || try > 0 {
			w.fail("restore", "%v", err)
			return
		}
		w.note("the restoration broke off at %s", s.on)
	}
	w.cover.Other["an older database was brought forward"]++
	if w.backup.rings < len(w.log.rings) {
		w.cover.Other["it had other keys of the log"]++
	}
	if err := w.rewind(); err != nil {
		w.fail("restore", "looking at what was restored: %v", err)
	}
}

func (w *world) forward(s *stage, log *copiedLog) error {
	db, err := store.OpenSimulated(w.ctx, w.file, store.Simulation{Driver: s, Random: w.random})
	if err != nil {
		return err
	}
	defer db.Close()
	signer, err := loadSigner(w.dir)
	if err != nil {
		return err
	}
	r, err := restore.Run(w.ctx, restore.Config{DB: db, Signer: signer, Source: log, Documents: w.texts, WithoutSums: true, AtOnce: 1 + w.draw.IntN(20)}, time.UnixMicro(w.now))
	if err == nil && r.Textless > 0 {
		w.cover.Other["what a restatement came to was lost before anybody was told"]++
	}
	return err
}

// rewind has the model know what the database knows: what it knew at the backup, but for what the log tells.
func (w *world) rewind() error {
	db, err := w.calm()
	if err != nil {
		return err
	}
	defer db.Close()
	old := w.model
	w.model = w.backup.model.clone()
	heads, err := db.LastBatches(w.ctx)
	if err != nil {
		return err
	}
	for _, h := range heads {
		before := w.model.parts[h.Part].head
		if h.Number < before || h.Number > old.parts[h.Part].head || h.Number < w.sealed[h.Part] {
			w.fail("restore", "partition %d goes on after batch %d; the backup had %d, the log at least %d, the database %d", h.Part, h.Number, before, w.sealed[h.Part], old.parts[h.Part].head)
		}
		w.model.parts[h.Part] = mpart{head: h.Number, at: h.At}
	}
	number, err := db.Rulebook(w.ctx)
	if err != nil {
		return err
	}
	if w.model.terms = w.terms[number]; number < w.sealedBook || w.model.terms.Rulebook != number {
		w.fail("restore", "rulebook %d is in force, and %d was under a signed head", number, w.sealedBook)
	}
	for _, l := range w.model.order {
		if err := w.endings(db, l, old.links[l.sub]); err != nil {
			return err
		}
	}
	w.forget()
	return nil
}

// endings looks whether a consent that had ended is ended still.
func (w *world) endings(db *store.DB, l, old *mlink) error {
	truth, _, err := db.LinkOf(w.ctx, l.sub)
	if err != nil {
		return err
	}
	if truth.Revoked != 0 && truth.Revoked != old.revoked || truth.Revoked == 0 && (old.sealed || l.revoked != 0) {
		w.fail("restore", "link %s ended at %d, as the log knows (%v), and is restored as ended at %d", l.sub, old.revoked, old.sealed, truth.Revoked)
	}
	l.revoked, l.sealed = truth.Revoked, old.sealed
	return nil
}

// forget lets everybody know what was lost: partners report it again, operators ask again for links.
func (w *world) forget() {
	w.keys = maps.Clone(w.backup.keys)
	w.log.again = w.log.last != "" // it may be in no head that was signed
	if len(w.log.rings[len(w.log.rings)-1].keys) == 2 {
		w.log.last = "rotate" // which was done, if not the other one
	}
	for _, name := range partners {
		p := w.partners[name]
		past := p.past
		p.past = nil
		for _, r := range past {
			if r.verdict != nil && !w.model.knows(r) {
				r.verdict = nil
				p.open = append(p.open, r)
				w.cover.Other["a claim was lost, and is reported again"]++
				continue
			}
			p.past = append(p.past, r)
		}
		for _, r := range p.open {
			if r.verdict != nil && !w.model.knows(r) {
				r.verdict = nil
			}
		}
	}
	for _, g := range w.grants {
		g.over = false
		if g.link != nil {
			g.link = w.model.links[g.link.sub]
		}
	}
	w.restored = true
	if w.ordered == nil { // what was lost of the last one is restated again
		w.ordered = w.last
	}
	if o := w.ordered; o != nil {
		o.begun = slices.ContainsFunc(w.model.terms.Restated, func(r restated) bool { return r.version == o.version })
	}
	before := w.backup.model.parts
	w.done = slices.DeleteFunc(w.done, func(k *correction) bool { return k.done > before[k.part].head })
	maps.DeleteFunc(w.adopted, func(r claim.Ref, _ bool) bool { return r.Batch > before[r.Part].head })
}

// knows reports whether a claim is recorded as its partner was told.
func (m *model) knows(r *report) bool {
	row := m.rows[r.verdict.Ref]
	return row != nil && row.claim.Partner == r.claim.Partner && row.claim.ID == r.claim.ID
}
