package seal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/record"
	"github.com/tanpu/tanpu/store"
)

// Follow begins another log, under another name and key, that goes on from the one before: when that one's key was lost, or
// somebody else has it, and its heads are worth nothing any more. Its first entry cites the head that is believed of the log
// before, so everything there stays proved by the new log's heads; numbers go on. The new key takes the place of the old
// one's files, which are kept beside it under the old log's name. Nobody else writes to the database meanwhile.
//
// It refuses a database that lacks what was signed, unless it is told that this is known: then the log before is longer than what
// is cited of it, and everybody can see that.
//
// What is true if we die on the way: before the new log is begun nothing happened but for a new key beside the old one. After
// that no server starts with the old key. The same again goes on.
func Follow(ctx context.Context, db *store.DB, file, origin string, older bool, now time.Time) (vkey string, err error) {
	l, found, err := db.Log(ctx)
	switch {
	case err != nil:
		return "", err
	case !found:
		return "", fault.New(fault.NotFound, "no log was begun; run: tanpu init --db URL")
	}
	next := file + ".next"
	if l.Origin != origin {
		if l, err = begin(ctx, db, file, next, origin, older, now); err != nil {
			return "", err
		}
	}
	s, err := loadKeys(next, "")
	if fault.KindOf(err) == fault.NotFound {
		err = fault.New(fault.Conflict, "%s is the name of the log that goes on already", origin)
	}
	if err != nil {
		return "", err
	}
	return s.Keys()[0], install(next, file, l.Number-1)
}

// begin ends the log that there is, and begins the next one.
func begin(ctx context.Context, db *store.DB, file, next, origin string, older bool, now time.Time) (l store.Log, err error) {
	if err := unused(ctx, db, origin); err != nil {
		return l, err
	}
	if err := finish(ctx, db, file, older, now); err != nil {
		return l, err
	}
	vkey, err := nextKey(next, origin)
	if err != nil {
		return l, err
	}
	if l, _, err = db.Log(ctx); err != nil {
		return l, err
	}
	if l.Size == 0 {
		return l, fault.New(fault.Conflict, "the log has no entries yet; there is nothing to go on from")
	}
	first := record.Text(&record.Origin{Origin: origin, Database: db.ID, Parts: db.Parts, At: now.UnixMicro(), Key: vkey,
		Follows: &record.Follows{Origin: l.Origin, Size: l.Size, Root: record.Hash(l.Root)}})
	if err := db.BeginLog(ctx, origin, first, ledger.Hash(proof.EmptyRoot)); err != nil {
		return l, err
	}
	l, _, err = db.Log(ctx)
	return l, err
}

// unused returns an error if a log of the database had the name before: witnesses, and whoever stole its key, know that one by it.
func unused(ctx context.Context, db *store.DB, origin string) error {
	for n := 1; ; n++ {
		l, found, err := db.LogNumbered(ctx, n)
		switch {
		case err != nil || !found:
			return err
		case l.Origin == origin:
			return fault.New(fault.Conflict, "%s is the name of the database's log %d; every log has a name of its own", origin, n)
		}
	}
}

// finish takes all that was committed into the log, whose last head it signs and publishes if the key is there.
func finish(ctx context.Context, db *store.DB, file string, older bool, now time.Time) error {
	signer, err := LoadSigner(file, "")
	var s *Sealer
	if err == nil {
		s, err = New(ctx, Config{DB: db, Signer: signer})
	}
	switch {
	case err == nil:
		for more := true; more && err == nil; {
			more, err = s.Step(ctx, now)
		}
	case older:
		err = setOff(ctx, db, now.UnixMicro())
	default:
		return fmt.Errorf("%w (another log can go on all the same: say --though-older, and this one stays longer than what is cited of it)", err)
	}
	return err
}

// accountsLost is how many numbers of accounts each partition leaves out when nobody can tell how many were given.
const accountsLost = 1_000_000

// setOff leaves a log as it is that nobody signs any more. What was committed and is not in it goes into the next one: an older
// database's can be in the log that was signed, and elsewhere, and what is cited of that must be its beginning. A log without
// entries cannot be cited, and takes them. Numbers of accounts that may have been given are not given again.
func setOff(ctx context.Context, db *store.DB, at int64) error {
	_, err := db.Seal(ctx, func(tx *store.Sealing) error {
		counts := make([]int64, db.Parts)
		for part := range counts {
			counts[part] = accountsLost
		}
		if err := tx.SkipAccounts(ctx, counts); err != nil || tx.Size > 0 {
			return err
		}
		_, err := take(ctx, tx, at)
		return err
	})
	return err
}

// nextKey makes the new log's key, unless one that died on the way has made it.
func nextKey(file, origin string) (string, error) {
	vkey, err := CreateKey(file, origin)
	if !errors.Is(err, fs.ErrExist) {
		return vkey, err
	}
	s, err := loadKeys(file, "")
	if err != nil {
		return "", err
	}
	if s.Origin() != origin {
		return "", fault.New(fault.Conflict, "%s is a key of the log %s; remove it if that was not meant", file, s.Origin())
	}
	if _, err := os.Stat(headFile(file)); errors.Is(err, fs.ErrNotExist) {
		return s.Keys()[0], writeFile(headFile(file), nil)
	}
	return s.Keys()[0], nil
}

// install puts the new key's files in the place of the old one's, which are kept under the old log's number: the head first,
// for a key without it is not used.
func install(next, file string, before int) error {
	for _, name := range []string{headSuffix, ""} {
		if _, err := os.Stat(next + name); errors.Is(err, fs.ErrNotExist) {
			continue // one that died on the way has done it
		}
		if err := os.Rename(file+name, file+putAway(before)+name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.Rename(next+name, file+name); err != nil {
			return err
		}
	}
	return nil
}

// putAway is what the name of a log's key ends with once another log goes on.
func putAway(log int) string { return fmt.Sprintf(".log%d", log) }

// Followed reports whether the key is one that Follow put away: by its name, for a database from before knows nothing of the
// log that goes on. That one's key lies beside it, and is another log's.
func (s *Signer) Followed(log int) (bool, error) {
	file := strings.TrimSuffix(s.file, headSuffix)
	next, ok := strings.CutSuffix(file, putAway(log))
	if !ok {
		return false, nil
	}
	n, err := loadKeys(next, "")
	if err == nil && n.Origin() == s.Origin() {
		err = fmt.Errorf("that is the key of %s too", n.Origin())
	}
	if err != nil {
		return false, fault.New(fault.Conflict, "%s is named like the key of a log from which another one goes on; put that one's key beside it, as %s, or name this one otherwise if no log goes on from its own: %v", file, next, err)
	}
	return true, nil
}
