package simulate

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/tanpu/tanpu/flows/seal"
	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/record"
	"github.com/tanpu/tanpu/store"
)

// A keyring is what is known of the log's keys: by whoever has the file, by the operator, and by a stranger who was told the first
// one and knows the others only from heads that those before have signed.
type keyring struct {
	all   []note.Verifier // that ever signed
	rings []ring          // that of the file is the last
	two   bool            // the operator was told that two keys sign
	last  string          // what the operator did last, rotate or retire
	again bool            // and has to do again, for nobody told whether it was done

	known    int64 // the size of the log that the stranger has read
	believed []string
}

// A ring is the keys that sign heads of more entries than so many.
type ring struct {
	after int64
	keys  []string
}

func newKeyring() (k keyring, err error) {
	first, err := proof.PublicKey(logKey())
	k.believed, k.rings = []string{first}, []ring{{keys: []string{first}}}
	k.learn(first)
	return k, err
}

// learn notes a key.
func (k *keyring) learn(vkey string) {
	if v, err := note.NewVerifier(vkey); err == nil {
		k.all = append(k.all, v)
	}
}

// verifiers are those of some keys.
func (k *keyring) verifiers(keys []string) (list []note.Verifier) {
	for _, v := range k.all {
		if slices.ContainsFunc(keys, func(key string) bool { return strings.HasPrefix(key, fmt.Sprintf("%s+%08x+", v.Name(), v.KeyHash())) }) {
			list = append(list, v)
		}
	}
	return list
}

// open opens a head for somebody who believes some keys. All that were in the file when it was signed must have signed it,
// and no others.
func (w *world) open(text []byte, believed []string, who string) (proof.Checkpoint, error) {
	c, signed, err := proof.OpenCheckpoint(text, origin, w.log.all...)
	if err != nil {
		return c, err
	}
	by := func(keys []string) (n int) {
		for _, v := range w.log.verifiers(keys) {
			if slices.ContainsFunc(signed.Sigs, func(s note.Signature) bool { return s.Hash == v.KeyHash() }) {
				n++
			}
		}
		return n
	}
	i := len(w.log.rings) - 1
	for i > 0 && w.log.rings[i].after >= c.Size {
		i--
	}
	if due := w.log.rings[i].keys; by(due) != len(due) || len(signed.Sigs) != len(due) {
		w.fail("log", "%s sees a head of %d entries that %d keys signed, of whom %d were to; those are %d", who, c.Size, len(signed.Sigs), by(due), len(due))
	}
	if by(believed) == 0 {
		w.fail("log", "%s sees a head of %d entries that no key has signed by which it believes the log", who, c.Size)
	}
	return c, nil
}

// stranger looks at the published head, and learns of the log's keys from what is under it.
func (w *world) stranger(db *store.DB, l store.Log) (c proof.Checkpoint, err error) {
	k := &w.log
	if c, err = w.open([]byte(l.Checkpoint), k.believed, "a stranger"); err != nil || len(k.rings) == 1 {
		return c, err
	}
	texts, err := db.LogEntries(w.ctx, l.Number, k.known, int(c.Size-k.known))
	if err != nil {
		return c, err
	}
	for _, text := range texts {
		e, err := record.Parse(text)
		if err != nil {
			return c, err
		}
		if key, ok := e.(*record.Key); ok && key.Ended {
			k.believed = slices.DeleteFunc(k.believed, func(b string) bool { return b == key.Key })
		} else if ok {
			k.believed = append(k.believed, key.Key)
		}
	}
	k.known = max(k.known, c.Size)
	return w.open([]byte(l.Checkpoint), k.believed, "a stranger who has read it") // keys that ended are believed no longer
}

// looked has the stranger look now, and tells which keys it believes.
func (w *world) looked() []string {
	look := func() error {
		db, err := w.calm()
		if err != nil {
			return err
		}
		defer db.Close()
		l, _, err := db.Log(w.ctx)
		if err == nil && l.Checkpoint != "" {
			_, err = w.stranger(db, l)
		}
		return err
	}
	if err := look(); err != nil {
		w.fail("log", "looking at it: %v", err)
	}
	return w.log.believed
}

// rekey has the operator make the log's next key, or end the one before it; or do again what broke off. What can go wrong with
// the file does so at the statements before and after it is written.
func (w *world) rekey() {
	k, believed := &w.log, w.looked()
	now := k.rings[len(k.rings)-1].keys
	what := "rotate"
	switch {
	case k.again:
		what = k.last
	case k.two:
		what = "retire"
	case !slices.Equal(believed, now):
		return // that the last one ended is under no published head yet
	}
	if s := w.server(); s != nil {
		s.rekey(what)
	}
}

// rekey is one command. The first of two keys is not ended unless who believes the log by it can know of the other.
func (s *server) rekey(what string) {
	k := &s.log
	now := k.rings[len(k.rings)-1].keys
	known := slices.Contains(k.believed, now[len(now)-1])
	do := map[string]func() (string, error){
		"rotate": func() (string, error) { return seal.Rotate(s.ctx, s.db, filepath.Join(s.dir, "key"), s.time()) },
		"retire": func() (string, error) { return seal.Retire(s.ctx, s.db, filepath.Join(s.dir, "key"), s.time()) },
	}[what]
	_, err := do()
	s.note("%s: %s %v", what, fault.KindOf(err), err == nil)
	if err2 := s.refile(); err2 != nil {
		s.fail("simulation", "looking at the log's keys: %v", err2)
		return
	}
	refused := fault.KindOf(err) == fault.Conflict
	switch {
	case what == "retire" && !known && err == nil:
		s.fail("key", "the log's first key was ended, and no head that it signed names the next one")
	case what == "retire" && !known && refused:
		s.cover.Other["a key of the log was not ended yet"]++
		k.again = false
	case refused && k.again, err == nil:
		if refused {
			s.cover.Other["a key of the log was changed already"]++
		}
		s.cover.Other["the log's keys: "+what]++
		k.last, k.again, k.two = what, false, what == "rotate"
		s.witness.logs = slices.Clone(k.rings[len(k.rings)-1].keys)
	case fault.KindOf(err) != "" || !s.allowed(err):
		s.fail("key", "%s: %v", what, err)
	default:
		k.last, k.again = what, true
		if s.draw.IntN(2) == 0 {
			if again := s.well(); again != nil {
				again.rekey(what)
			}
		}
	}
}

// refile notes the keys that are in the file now.
func (w *world) refile() error {
	k, file := &w.log, filepath.Join(w.dir, "key")
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var keys []string
	for _, skey := range strings.Fields(string(text)) {
		vkey, err := proof.PublicKey(skey)
		if err != nil {
			return err
		}
		keys = append(keys, vkey)
	}
	before := k.rings[len(k.rings)-1].keys
	if !slices.Equal(keys, before) {
		signed, err := w.signed()
		if err != nil {
			return err
		}
		k.rings = append(k.rings, ring{signed, keys})
		if len(keys) > len(before) {
			k.learn(keys[len(keys)-1])
		}
	}
	return nil
}

// checkKeys holds the log's keys in the end against those of the file.
func (w *world) checkKeys() {
	believed := w.looked()
	if keys := w.log.rings[len(w.log.rings)-1].keys; !slices.Equal(believed, keys) {
		w.fail("key", "the log is signed by %v, and names %v", keys, believed)
	}
}
