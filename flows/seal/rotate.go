package seal

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/record"
	"github.com/tanpu/tanpu/store"
)

// A key takes over from another while both sign: Rotate adds the next one, and when everybody who checks the log has seen it
// named there, Retire ends the one before. Servers read the file anew whenever they sign.

// Rotate makes the log's next key in the file of the last one, and has the log name it. It returns its public half.
//
// What is true if we die on the way: heads are signed by a key that the log does not name yet, beside the one that it does.
// The same again goes on.
func Rotate(ctx context.Context, db *store.DB, file string, now time.Time) (vkey string, err error) {
	named, text, r, err := keysOf(ctx, db, file)
	if err != nil {
		return "", err
	}
	if len(r.keys) == 1 {
		if !slices.Contains(named, r.keys[0]) {
			return "", fault.New(fault.Conflict, "the log does not name the key in %s: it is another log's, or has ended", file)
		}
		skey, _, err := note.GenerateKey(db.Random(), r.origin())
		if err != nil {
			return "", err
		}
		if err := r.add(skey); err != nil {
			return "", err
		}
		if err := writeFile(file, []byte(strings.TrimSpace(text)+"\n"+skey+"\n")); err != nil {
			return "", fmt.Errorf("writing the log's next key: %w", err)
		}
	}
	vkey = r.keys[len(r.keys)-1]
	if slices.Contains(named, vkey) {
		last, err := lastKeyEvent(ctx, db, r.origin())
		if err != nil {
			return "", err
		}
		return "", fault.New(fault.Conflict, "two keys sign already: the log names the next one since %s; once all who check the log have seen it there, which takes weeks, the first ends with: tanpu log retire", day(last.At))
	}
	return vkey, db.AddLogKey(ctx, vkey, false, now.UnixMicro())
}

// keysOf reads which keys the log names, and the file of those that sign.
func keysOf(ctx context.Context, db *store.DB, file string) (named []string, text string, r ring, err error) {
	if named, err = namedKeys(ctx, db); err != nil {
		return nil, "", r, err
	}
	if text, err = readSecret(file); err != nil {
		return nil, "", r, err
	}
	r, err = readRing(file, text)
	return named, text, r, err
}

// namedKeys are the log's keys as they are recorded, whether or not they are in the log yet.
func namedKeys(ctx context.Context, db *store.DB) ([]string, error) {
	l, found, err := db.Log(ctx)
	if err == nil && !found {
		err = fault.New(fault.NotFound, "no log was begun; run: tanpu init --db URL")
	}
	if err != nil {
		return nil, err
	}
	keys, err := firstKey(l)
	if err != nil {
		return nil, err
	}
	recorded, err := db.LogKeys(ctx)
	if err != nil {
		return nil, err
	}
	for _, k := range recorded {
		switch {
		case !strings.HasPrefix(k.Key, l.Origin+"+"): // another log's, before this one
		case k.Ended:
			keys = slices.DeleteFunc(keys, func(o string) bool { return o == k.Key })
		default:
			keys = append(keys, k.Key)
		}
	}
	return keys, nil
}

// lastKeyEvent is what was recorded last of a log's keys after its first: that one came or ended. Nothing is zero.
func lastKeyEvent(ctx context.Context, db *store.DB, origin string) (last record.Key, err error) {
	recorded, err := db.LogKeys(ctx)
	for _, k := range recorded {
		if strings.HasPrefix(k.Key, origin+"+") {
			last = k
		}
	}
	return last, err
}

func day(at int64) string { return time.UnixMicro(at).UTC().Format(time.DateOnly) }

// Retire ends the first of two keys, and returns its public half. The head that was signed last must be signed by the other one, and
// so must the published one, which names it: whoever knows only the first key can learn of the other from that.
//
// What is true if we die on the way: the other key alone signs, and the log does not say yet that the first one ended. The same
// again goes on.
func Retire(ctx context.Context, db *store.DB, file string, now time.Time) (vkey string, err error) {
	named, text, r, err := keysOf(ctx, db, file)
	if err != nil {
		return "", err
	}
	last := len(r.keys) - 1
	before := slices.DeleteFunc(slices.Clone(named), func(k string) bool { return k == r.keys[last] })
	if len(before) == 0 || len(before) == len(named) {
		event, err := lastKeyEvent(ctx, db, r.origin())
		switch {
		case err != nil:
			return "", err
		case len(before) == 0 && event.Ended:
			return "", fault.New(fault.Conflict, "this has been done already: %s ended on %s, and one key signs", event.Key, day(event.At))
		}
		return "", fault.New(fault.Conflict, "the log has one key; make the next one first: tanpu log rotate")
	}
	l, _, err := db.Log(ctx)
	if err != nil {
		return "", err
	}
	signed, err := os.ReadFile(headFile(file))
	if err != nil {
		return "", err
	}
	_, _, err = proof.OpenCheckpoint(signed, r.origin(), r.verifiers[last])
	head, _, err2 := proof.OpenCheckpoint([]byte(l.Checkpoint), r.origin(), r.verifiers[last])
	if err != nil || err2 != nil {
		return "", errUnseen
	}
	if seen, err := namedUnder(ctx, db, l, head, r.keys[last]); err != nil || !seen {
		return "", cmp.Or(err, errUnseen)
	}
	lines := strings.Fields(text)
	if err := writeFile(file, []byte(lines[len(lines)-1]+"\n")); err != nil {
		return "", fmt.Errorf("writing the log's key: %w", err)
	}
	for _, k := range before {
		if err := db.AddLogKey(ctx, k, true, now.UnixMicro()); err != nil {
			return "", err
		}
	}
	return strings.Join(before, " "), nil
}

var errUnseen = fault.New(fault.Conflict, "the next key has not signed yet, or no published head names it yet; wait until a server has sealed something")

// namedUnder reports whether a key is named by an entry that is under a head of the log.
func namedUnder(ctx context.Context, db *store.DB, l store.Log, head proof.Checkpoint, key string) (bool, error) {
	l.Size = head.Size
	keys, err := PublicKeys(ctx, db, l)
	return slices.Contains(keys, key), err
}
