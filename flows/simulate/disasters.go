package simulate

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/fault"
)

// kill lets a server die between two steps, and start again; it may die once more while it starts.
func (w *world) kill() {
	i := w.draw.IntN(len(w.servers))
	if w.servers[i] != nil {
		w.servers[i].end()
		w.servers[i] = nil
	}
	struck := w.faulty
	w.faulty = nil
	s, err := w.start(i, w.skew(), struck)
	if err != nil && (struck == nil || struck.How == unharmed || !errors.Is(err, errStruck)) {
		w.fail("start", "a server does not start: %v", err)
	}
	if err == nil {
		w.servers[i] = s
	}
}

// power lets the machine die with all servers, as a rule with nothing but their memory lost; now and then they find the
// database's files as they are at this moment, with a log that has to be read again.
func (w *world) power() {
	if w.draw.IntN(3) > 0 {
		w.down()
		return
	}
	w.cover.Other["the database was recovered"]++
	files, err := w.copy()
	if err == nil {
		w.down()
		err = w.put(files)
	}
	if err != nil {
		w.fail("simulation", "copying the database: %v", err)
	}
}

// down ends all servers.
func (w *world) down() {
	for i, s := range w.servers {
		if s != nil {
			s.end()
			w.servers[i] = nil
		}
	}
}

// copy reads the database as it is: the file, and the log of what is not in it yet.
func (w *world) copy() (files [2][]byte, err error) {
	for i, suffix := range [...]string{"", "-wal"} {
		files[i], err = os.ReadFile(w.file + suffix)
		if err != nil && (i == 0 || !errors.Is(err, os.ErrNotExist)) {
			return files, err
		}
	}
	return files, nil
}

// put makes a copy the database.
func (w *world) put(files [2][]byte) error {
	w.lines.close()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		os.Remove(w.file + suffix)
	}
	err := os.WriteFile(w.file, files[0], 0o600)
	if len(files[1]) > 0 {
		err = errors.Join(err, os.WriteFile(w.file+"-wal", files[1], 0o600))
	}
	return err
}

// whole is the database in one file.
func (w *world) whole() ([]byte, error) {
	if err := w.lines.checkpoint(w.file); err != nil {
		return nil, err
	}
	return os.ReadFile(w.file)
}

// A backup is a copy of the database as it was.
type backup struct {
	database []byte
	size     int64 // of its log
}

func (w *world) backUp() {
	s := w.server()
	if s == nil {
		return
	}
	s.stage.disarm()
	l, _, err := s.db.Log(w.ctx)
	b := &backup{size: l.Size}
	if err == nil {
		b.database, err = w.whole()
	}
	if err != nil {
		w.fail("simulation", "copying the database: %v", err)
		return
	}
	w.backup = b
}

// restore puts the backup in the place of the database. Where more was signed since, no server must start with it; and
// then the database is put back.
func (w *world) restore() {
	if w.backup == nil {
		return
	}
	w.down()
	now, err := w.whole()
	if err == nil {
		err = w.lines.renew(w.file, w.backup.database)
	}
	if err != nil {
		w.fail("simulation", "copying the database: %v", err)
		return
	}
	signed := int64(0)
	if text, err := os.ReadFile(filepath.Join(w.dir, "key.head")); err == nil && len(text) > 0 {
		body, _, _ := strings.Cut(string(text), "\n\n")
		c, err := proof.ParseCheckpoint(body + "\n")
		if err != nil {
			w.fail("simulation", "the last signed head: %v", err)
		}
		signed = c.Size
	}
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
	if err := w.lines.renew(w.file, now); err != nil {
		w.fail("simulation", "copying the database: %v", err)
	}
}
