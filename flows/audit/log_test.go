package audit_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/flows/audit"
	"github.com/tanpu/tanpu/flows/link"
	"github.com/tanpu/tanpu/flows/seal"
	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/record"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

// logged is a world whose log has full tiles. In partition 0 there are batches that are not in it yet; the last that
// happened in partition 1 before it was sealed is the end of a consent.
func logged(t *testing.T, url string) (w *world, secret string) {
	t.Helper()
	w = newWorld(t, url, 3, 7)
	w.most = 3
	w.meters()
	for range 9 {
		w.day()
	}
	w.now = w.now.Add(time.Second)
	if err := link.Revoke(t.Context(), w.db, w.members[1].subs["rides"], "", w.now); err != nil {
		t.Fatal(err)
	}
	signer, secret := newSigner(t, "example.org/log")
	if err := seal.Begin(t.Context(), w.db, signer, w.now); err != nil {
		t.Fatal(err)
	}
	seals(t, w, signer)
	if l := logOf(t, w.db); l.Size < 270 {
		t.Fatalf("the log has %d entries, too few to fill a tile", l.Size)
	}
	for range 2 {
		w.send(w.judge, []claim.Claim{w.claim(w.members[0], "rides", "bike", w.midnight(), 10*time.Minute, "distance", "2")})
	}
	return w, secret
}

func logOf(t *testing.T, db *store.DB) store.Log {
	t.Helper()
	l, found, err := db.Log(t.Context())
	if err != nil || !found {
		t.Fatal(found, err)
	}
	return l
}

// What is sealed is clean, and what is not sealed yet is told.
func TestLog(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url, 3, 7)
		notes := func(want string) {
			t.Helper()
			r := run(t, w.db)
			for _, f := range r.Findings {
				t.Error(f)
			}
			if got := strings.Join(r.Notes, "\n"); !strings.Contains(got, want) || want == "" && got != "" {
				t.Errorf("the notes are %q, want %q", got, want)
			}
		}
		notes("has no transparency log")
		signer, _ := newSigner(t, "example.org/log")
		if err := seal.Begin(t.Context(), w.db, signer, w.now); err != nil {
			t.Fatal(err)
		}
		notes("19 consents, 8 documents were committed and are not in the log yet")
		seals(t, w, signer)
		notes("")
		w.day()
		notes("batches were committed and are not in the log yet")
		seals(t, w, signer)
		notes("")

		// A log that follows, such as after another one's key was lost.
		l := logOf(t, w.db)
		next, _ := newSigner(t, "example.org/log2")
		first := record.Origin{Origin: next.Origin(), Database: w.db.ID, Parts: w.db.Parts, At: w.now.UnixMicro(), Key: next.Keys()[0],
			Follows: &record.Follows{Origin: l.Origin, Size: l.Size, Root: record.Hash(l.Root)}}
		if err := w.db.BeginLog(t.Context(), next.Origin(), record.Text(&first), ledger.Hash(proof.EmptyRoot)); err != nil {
			t.Fatal(err)
		}
		w.day()
		seals(t, w, next)
		notes("")
		wreck := newWreck(t, url)
		wreck.do(t, "UPDATE log SET first = replace(first, '\"size\":', '\"size\":1') WHERE log = 2")
		if r := run(t, w.db); r.Found[audit.Log] == 0 {
			t.Error("a log that follows another one beyond its end was clean")
		}
	})
}

// An audit beside a server that writes and seals finds nothing: the log is never ahead of what is read after it.
func TestLogBesideServer(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url, 3, 15)
		signer, _ := newSigner(t, "example.org/log")
		if err := seal.Begin(t.Context(), w.db, signer, w.now); err != nil {
			t.Fatal(err)
		}
		reader, err := store.OpenRead(context.Background(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		sealer, err := seal.New(t.Context(), seal.Config{DB: w.db, Signer: signer})
		if err != nil {
			t.Fatal(err)
		}
		done, sealed := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(sealed)
			for open := true; open; {
				select {
				case <-done:
					open = false
				default:
				}
				if _, err := sealer.Step(context.Background(), time.Now()); err != nil {
					t.Error(err)
				}
			}
		}()
		go func() {
			defer close(done)
			for range 5 {
				w.day()
				w.join()
			}
		}()
		for open := true; open; {
			select {
			case <-done:
				open = false
				<-sealed
			default:
			}
			r := run(t, reader)
			for _, f := range r.Findings {
				t.Error(f)
			}
			if !open && (strings.Contains(strings.Join(r.Notes, "\n"), "not in the log yet") || r.Entries == 0) {
				t.Errorf("at the end, with %d entries, the notes are %q", r.Entries, r.Notes)
			}
		}
	})
}

const (
	someBatch = "log = 1 AND place = (SELECT min(place) FROM log_entry WHERE stream = 'batch')"
	someLinks = "log = 1 AND place = (SELECT min(place) FROM log_entry WHERE stream = 'links')"
	lastEntry = "log = 1 AND place = (SELECT size - 1 FROM log)"
	ended     = "part = 1 AND number = (SELECT consents - 1 FROM partition WHERE part = 1)"
)

// A damage to the log, or to what it tells of. The audit must find each of the kinds; of a consistent one, that no rule
// alone can find, only that the log says otherwise.
var logDamages = []struct {
	name string
	do   []string
	want string // is said by a finding
	kind []audit.Kind
	only bool
}{
	{"an entry changed", []string{"UPDATE log_entry SET body = {another batch} WHERE " + someBatch}, "tile 0 of level 0 is not that of its entries", []audit.Kind{audit.Log}, true},
	{"an entry that is none", []string{"UPDATE log_entry SET body = {no entry} WHERE " + someBatch}, "this is no entry of a log in its canonical form", []audit.Kind{audit.Log}, true},
	{"an entry gone", []string{"DELETE FROM log_entry WHERE " + someBatch}, "is missing", []audit.Kind{audit.Log}, true},
	{"the first entry gone", []string{"DELETE FROM log_entry WHERE place = 0"}, "entry 0 is missing", []audit.Kind{audit.Log}, true},
	{"the last entry gone", []string{"DELETE FROM log_entry WHERE " + lastEntry}, "is missing", []audit.Kind{audit.Log}, true},
	{"an entry added", []string{"INSERT INTO log_entry SELECT log, place + 1, 'totals', 0, 1, body FROM log_entry WHERE " + lastEntry}, "1 more are recorded", []audit.Kind{audit.Log}, true},
	{"entries swapped", []string{
		"UPDATE log_entry SET place = -1 WHERE place = 20", "UPDATE log_entry SET place = 20 WHERE place = 21", "UPDATE log_entry SET place = 21 WHERE place = -1"},
		"comes where number", []audit.Kind{audit.Log}, true},
	{"another stream", []string{"UPDATE log_entry SET stream = 'totals' WHERE " + lastEntry}, "is filed as totals", []audit.Kind{audit.Log}, true},
	{"another partition", []string{"UPDATE log_entry SET part = 77 WHERE " + someBatch}, "is filed as batch 77.", []audit.Kind{audit.Log}, true},
	{"another number", []string{"UPDATE log_entry SET number = 7777 WHERE " + someLinks}, ".7777, and says that it is links", []audit.Kind{audit.Log}, true},
	{"a tile changed", []string{"UPDATE log_tile SET hashes = CAST({zeros} || substr(hashes, 33) AS {bytes}) WHERE level = 0 AND tile = 0"}, "tile 0 of level 0 is not", []audit.Kind{audit.Log}, true},
	{"the last tile changed", []string{"UPDATE log_tile SET hashes = CAST({zeros} || substr(hashes, 33) AS {bytes}) WHERE level = 0 AND tile = 1"}, "tile 1 of level 0 is not", []audit.Kind{audit.Log}, true},
	{"a higher tile changed", []string{"UPDATE log_tile SET hashes = {zeros} WHERE level = 1"}, "tile 0 of level 1 is not", []audit.Kind{audit.Log}, true},
	{"a full tile gone", []string{"DELETE FROM log_tile WHERE level = 0 AND tile = 0"}, "tile 0 of level 0 is missing", []audit.Kind{audit.Log}, true},
	{"the last tile gone", []string{"DELETE FROM log_tile WHERE level = 0 AND tile = 1"}, "tile 1 of level 0 is missing", []audit.Kind{audit.Log}, true},
	{"the last tile too short", []string{"UPDATE log_tile SET hashes = substr(hashes, 33) WHERE level = 0 AND tile = 1"}, "tile 1 of level 0 is not", []audit.Kind{audit.Log}, true},
	{"a tile too many", []string{"INSERT INTO log_tile (log, level, tile, hashes) VALUES (1, 2, 0, {zeros})"}, "1 tiles are recorded that it cannot have", []audit.Kind{audit.Log}, true},
	{"a shorter log", []string{"UPDATE log SET size = size - 1"}, "1 more are recorded", []audit.Kind{audit.Log}, true},
	{"a longer log", []string{"UPDATE log SET size = size + 1"}, "is missing", []audit.Kind{audit.Log}, true},
	{"a log without end", []string{"UPDATE log SET size = 1152921504606846976"}, "is missing", []audit.Kind{audit.Log}, true},
	{"another root", []string{"UPDATE log SET root = {zeros}"}, "its root is not that of its", []audit.Kind{audit.Log}, true},
	{"another name", []string{"UPDATE log SET origin = 'example.org/other'"}, "says that it is log example.org/log", []audit.Kind{audit.Log}, true},
	{"another beginning", []string{"UPDATE log SET first = replace(first, '\"at\":1', '\"at\":2')"}, "is not the one that the log was begun with", []audit.Kind{audit.Log}, true},
	{"another database's log", []string{"UPDATE log SET first = replace(first, '\"database\":\"', '\"database\":\"x')"}, "of database x", []audit.Kind{audit.Log}, true},
	{"a beginning that is none", []string{"UPDATE log SET first = first || ' '"}, "its first entry cannot be read", []audit.Kind{audit.Log}, true},
	{"the log gone", []string{"DELETE FROM log"}, "of a log 1 that was never begun", []audit.Kind{audit.Log}, true},
	{"a second log from nowhere", []string{"INSERT INTO log SELECT 2, 'example.org/log2', first, 0, {zeros}, at, 0, '' FROM log"}, "does not say which log it goes on from", []audit.Kind{audit.Log}, true},
	{"signed by somebody else", []string{"UPDATE log SET checkpoint = {of a stranger}"}, "its published head does not hold", []audit.Kind{audit.Log}, true},
	{"a signature that is wrong", []string{"UPDATE log SET checkpoint = replace(checkpoint, CAST(signed AS text), CAST(signed + 1 AS text)), signed = signed + 1"}, "does not hold", []audit.Kind{audit.Log}, true},
	{"no published head", []string{"UPDATE log SET checkpoint = ''"}, "its published head does not hold", []audit.Kind{audit.Log}, true},
	{"a published head of another root", []string{"UPDATE log SET checkpoint = {of another root}"}, "has another root than they have", []audit.Kind{audit.Log}, true},
	{"a published head of more", []string{"UPDATE log SET checkpoint = {of more}, signed = signed + 1"}, "and it has", []audit.Kind{audit.Log}, true},
	{"a published head of another size", []string{"UPDATE log SET signed = signed - 1"}, "it is recorded that it is of", []audit.Kind{audit.Log}, true},
	{"a mark moved", []string{"UPDATE log_mark SET next = next + 1 WHERE stream = 'links' AND part = 2"}, "goes on with links", []audit.Kind{audit.Log}, true},
	{"a mark of another batch", []string{"UPDATE log_mark SET hash = {zeros} WHERE stream = 'batch' AND part = 2"}, "with another batch", []audit.Kind{audit.Log}, true},
	{"a mark gone", []string{"DELETE FROM log_mark WHERE stream = 'document'"}, "it is not recorded where the log goes on with document", []audit.Kind{audit.Log}, true},

	{"a batch rewritten with all that follows", []string{
		"UPDATE batch SET at = at + 1, hash = {rewritten} WHERE part = 1 AND batch = (SELECT next - 1 FROM partition WHERE part = 1)",
		"UPDATE partition SET at = at + 1, hash = {rewritten} WHERE part = 1"}, "the log has it otherwise", []audit.Kind{audit.Log}, true},
	{"the last batch gone", []string{"DELETE FROM batch WHERE part = 1 AND batch = (SELECT next - 1 FROM partition WHERE part = 1)"}, "it is in the log, and not recorded", []audit.Kind{audit.Log, audit.Numbering}, false},
	{"a batch gone", []string{"DELETE FROM batch WHERE part = 1 AND batch = 5"}, "batch 1.5: it is in the log, and not recorded", []audit.Kind{audit.Log, audit.Numbering}, false},
	{"all batches gone", []string{"DELETE FROM batch WHERE part = 2"}, "batch 2.1: it is in the log", []audit.Kind{audit.Log}, false},
	{"a document published at another time", []string{"UPDATE document SET at = at + 1 WHERE rulebook = (SELECT max(rulebook) FROM document)"}, "and the log has it otherwise", []audit.Kind{audit.Log}, true},
	{"a document under another name", []string{"UPDATE document SET name = name || 'x' WHERE rulebook = 1"}, "and the log has it otherwise", []audit.Kind{audit.Log}, false},
	{"another document", []string{"UPDATE document SET body = {bike}, hash = {bikehash} WHERE name = 'BIKE@1'"}, "and the log has it otherwise", []audit.Kind{audit.Log}, false},
	{"a document gone", []string{"DELETE FROM document WHERE rulebook = (SELECT max(rulebook) FROM document)"}, "is in the log and is not published", []audit.Kind{audit.Log}, false},

	{"the end of a consent taken back with all that follows", []string{
		"UPDATE link SET revoked = 0 WHERE part = 1 AND revoked <> 0", "DELETE FROM consent WHERE " + ended,
		"UPDATE partition SET consents = consents - 1 WHERE part = 1"}, "it is in the log, and not recorded", []audit.Kind{audit.Log}, true},
	{"a consent at another time", []string{"UPDATE consent SET at = at + 1 WHERE part = 0 AND number = 1"}, "and by consent 0.1 at", []audit.Kind{audit.Log, audit.Consents}, false},
	{"a consent's root", []string{"UPDATE consent SET root = {zeros} WHERE part = 0 AND number = 1"}, "its root is not that of its leaves", []audit.Kind{audit.Log, audit.Consents}, true},
	{"a consent's leaf", []string{"UPDATE consent SET leaves = {zeros} WHERE part = 0 AND number = 1"}, "is not the one that was granted by consent 0.1", []audit.Kind{audit.Consents}, true},
	{"a consent's leaf and root", []string{"UPDATE consent SET leaves = {zeros}, root = {zeros} WHERE part = 0 AND number = 1"}, "the log has it otherwise", []audit.Kind{audit.Log, audit.Consents}, true},
	{"a consent's leaves cut off", []string{"UPDATE consent SET leaves = substr(leaves, 2) WHERE part = 0 AND number = 1"}, "which do not go together", []audit.Kind{audit.Consents}, true},
	{"a consent of another account", []string{"UPDATE consent SET links = CAST({eight} || substr(links, 9) AS {bytes}) WHERE part = 0 AND number = 1"}, "of account a0-0 was granted by it, and is not recorded so", []audit.Kind{audit.Consents}, true},
	{"a consent gone", []string{"DELETE FROM consent WHERE part = 0 AND number = 1"}, "of which no consent tells", []audit.Kind{audit.Log, audit.Consents}, true},
	{"a consent added", []string{"INSERT INTO consent SELECT part, number + 1, at, root, leaves, links FROM consent WHERE " + ended}, "its next consent is", []audit.Kind{audit.Consents}, true},
	{"the partition's consents", []string{"UPDATE partition SET consents = consents + 1 WHERE part = 0"}, "its next consent is", []audit.Kind{audit.Consents}, true},
	{"a link gone", []string{"DELETE FROM link WHERE part = 0 AND account = 1 AND partner = 'rides'"}, "and is not recorded so", []audit.Kind{audit.Consents}, false},
	{"a link that nobody consented to", []string{`INSERT INTO link (part, account, link, programme, partner, scenarios, purposes, since, granted)
		SELECT part, account, 77, programme, partner, scenarios, purposes, since, granted FROM link WHERE part = 0 AND account = 1 AND partner = 'rides'`}, "link 77 with rides was granted, of which no consent tells", []audit.Kind{audit.Consents}, true},
	{"a link for other purposes", []string{"UPDATE link SET purposes = 'statistics' WHERE part = 0 AND account = 1"}, "is not the one that was granted", []audit.Kind{audit.Consents}, false},
	{"a link of another partner", []string{"UPDATE link SET partner = 'nobody' WHERE part = 0 AND account = 1"}, "is not the one that was granted", []audit.Kind{audit.Consents}, false},
	{"a link from earlier on", []string{"UPDATE link SET since = since - 1 WHERE part = 0 AND account = 1"}, "is not the one that was granted", []audit.Kind{audit.Consents}, true},
	{"a link granted earlier", []string{"UPDATE link SET granted = granted - 1 WHERE part = 0 AND account = 1"}, "was granted at", []audit.Kind{audit.Consents}, true},
	{"a link ended by nobody", []string{"UPDATE link SET revoked = 4000000000000000 WHERE part = 0 AND account = 1"}, "was ended, of which no consent tells", []audit.Kind{audit.Consents}, true},
	{"a link ended later", []string{"UPDATE link SET revoked = revoked + 1 WHERE revoked <> 0"}, "was ended at", []audit.Kind{audit.Consents}, true},
	{"a link that has not ended", []string{"UPDATE link SET revoked = 0 WHERE revoked <> 0"}, "was ended by it, and is not recorded so", []audit.Kind{audit.Consents}, true},
	{"an account's key", []string{"UPDATE account_key SET key = {zeros} WHERE part = 0 AND account = 1"}, "is not the one that was granted", []audit.Kind{audit.Consents, audit.Leaves}, false},
}

func TestLogDamage(t *testing.T) {
	storetest.OneByOne(t)
	storetest.Each(t, func(t *testing.T, url string) {
		world, secret := logged(t, url)
		l := logOf(t, world.db)
		world.db.Close()
		w := newWreck(t, url)
		w.forge(t, l, secret)
		if r := run(t, w.db); !r.Clean() || len(r.Notes) == 0 || r.Notes[0] != "2 batches were committed and are not in the log yet" {
			t.Fatalf("before anything was damaged there is %v, %v", r.Findings, r.Notes)
		}
		for _, d := range logDamages {
			t.Run(d.name, func(t *testing.T) {
				defer w.mend(t, d.do)
				for _, statement := range d.do {
					if w.do(t, statement) == 0 {
						t.Fatalf("%s: there was nothing to damage", statement)
					}
				}
				r := run(t, w.db)
				for _, kind := range d.kind {
					if r.Found[kind] == 0 {
						t.Errorf("nothing of kind %s was found, only %v", kind, r.Found)
					}
				}
				if d.only && len(r.Found) != len(d.kind) {
					t.Errorf("more was found than %v: %v", d.kind, r.Findings)
				}
				said := false
				for _, f := range r.Findings {
					said = said || strings.Contains(f.Text, d.want)
				}
				if !said {
					t.Errorf("no finding says %q: %v", d.want, r.Findings)
				}
			})
		}
		if r := run(t, w.db); !r.Clean() {
			t.Errorf("mended, it is not clean: %v", r.Findings)
		}
	})
}

// forge makes what the damages need that takes more than SQL.
func (w *wreck) forge(t *testing.T, l store.Log, secret string) {
	t.Helper()
	var body []byte
	if err := w.owner.QueryRow("SELECT body FROM log_entry WHERE " + someBatch).Scan(&body); err != nil {
		t.Fatal(err)
	}
	e, err := record.Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	w.mean("{no entry}", append(body, ' '))
	batch := e.(*record.Batch)
	batch.Backfill = !batch.Backfill
	w.mean("{another batch}", record.Text(batch))

	var last ledger.Batch
	err = w.db.Snapshot(t.Context(), 1, func(s *store.Snapshot) error {
		return s.Batches(t.Context(), func(b *store.BatchRow) { last = b.Batch })
	})
	if err != nil {
		t.Fatal(err)
	}
	last.At++
	hash := last.Hash()
	w.mean("{rewritten}", hash[:])

	stranger, _, err := note.GenerateKey(zeros{}, l.Origin)
	if err != nil {
		t.Fatal(err)
	}
	w.words["{of a stranger}"] = checkpoint(t, l, l.Size, tlog.Hash(l.Root), stranger)
	w.words["{of another root}"] = checkpoint(t, l, l.Size, tlog.Hash{}, secret)
	w.words["{of more}"] = checkpoint(t, l, l.Size+1, tlog.Hash(l.Root), secret)
}

// zeros is no randomness at all.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

func checkpoint(t *testing.T, l store.Log, size int64, root tlog.Hash, skey string) string {
	t.Helper()
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	text, err := note.Sign(&note.Note{Text: proof.Checkpoint{Origin: l.Origin, Size: size, Root: root}.Text()}, signer)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("'%s'", text)
}
