package simulate

import (
	"errors"
	"os"
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
	return w.lines.put(w.file, files[0], files[1])
}
