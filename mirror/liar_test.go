package mirror_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/mirror"
	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/record"
)

// A log is one in memory, whose tree package tlog builds, by other means than we do.
type log struct {
	t       testing.TB
	origin  string
	signer  note.Signer
	vkey    string
	entries [][]byte
	stored  []tlog.Hash
	batches map[int]*ledger.Batch // the last of each partition
}

// newLog begins a log under a key that follows from a number.
func newLog(t testing.TB, origin string, key byte) *log {
	t.Helper()
	skey, vkey, err := note.GenerateKey(constant(key), origin)
	if err != nil {
		t.Fatal(err)
	}
	l := &log{t: t, origin: origin, vkey: vkey, batches: map[int]*ledger.Batch{}}
	if l.signer, err = note.NewSigner(skey); err != nil {
		t.Fatal(err)
	}
	l.add(&record.Origin{Origin: origin, Database: "d", Parts: 3, Key: vkey}, &record.Document{Rulebook: 1, Kind: "groups", Name: "g"})
	return l
}

type constant byte

func (c constant) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(c)
	}
	return len(b), nil
}

func (l *log) ReadHashes(indexes []int64) (list []tlog.Hash, err error) {
	for _, i := range indexes {
		list = append(list, l.stored[i])
	}
	return list, nil
}

func (l *log) add(entries ...record.Entry) {
	for _, e := range entries {
		l.append(record.Text(e))
	}
}

func (l *log) append(text []byte) {
	hashes, err := tlog.StoredHashes(int64(len(l.entries)), text, l)
	if err != nil {
		l.t.Fatal(err)
	}
	l.stored, l.entries = append(l.stored, hashes...), append(l.entries, text)
}

// batch is the next one of a partition; it is in no log yet.
func (l *log) batch(part int) *record.Batch {
	b := &ledger.Batch{Part: part, Number: 1, Rulebook: 1, At: int64(len(l.entries))}
	if last := l.batches[part]; last != nil {
		b.Number, b.Prev = last.Number+1, last.Hash()
	}
	l.batches[part] = b
	return record.OfBatch(b)
}

// grow adds batches, and now and then something else.
func (l *log) grow(n int) *log {
	for range n {
		l.add(l.batch(len(l.entries) % 3))
	}
	return l
}

func (l *log) size() int64 { return int64(len(l.entries)) }

func (l *log) root(size int64) tlog.Hash {
	if size == 0 {
		return proof.EmptyRoot
	}
	root, err := tlog.TreeHash(size, l)
	if err != nil {
		l.t.Fatal(err)
	}
	return root
}

// head signs a head.
func (l *log) head(size int64, root tlog.Hash, signers ...note.Signer) []byte {
	text, err := note.Sign(&note.Note{Text: proof.Checkpoint{Origin: l.origin, Size: size, Root: root}.Text()}, append(signers, l.signer)...)
	if err != nil {
		l.t.Fatal(err)
	}
	return text
}

// answer is what an honest server gives; nil for nothing.
func (l *log) answer(path string) []byte {
	if path == "checkpoint" {
		return l.head(l.size(), l.root(l.size()))
	}
	t, ok := proof.ParseTilePath(strings.TrimPrefix(path, "tile/"))
	if !ok {
		return nil
	}
	if t.L == proof.EntriesLevel {
		if t.N*256+int64(t.W) > l.size() {
			return nil
		}
		return bundle(l.entries[t.N*256 : t.N*256+int64(t.W)])
	}
	if t.N*256+int64(t.W) > l.size()>>(8*t.L) {
		return nil
	}
	data, err := tlog.ReadTileData(t, l)
	if err != nil {
		l.t.Fatal(err)
	}
	return data
}

func bundle(entries [][]byte) (b []byte) {
	for _, e := range entries {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(e))), e...)
	}
	return b
}

// A liar serves a log, and says otherwise where it is told to.
type liar struct {
	*log
	url string

	mu    sync.Mutex
	lies  map[string]http.HandlerFunc // by path; guarded by mu, as is asked
	asked map[string]int
}

func serve(t testing.TB, l *log) *liar {
	s := &liar{log: l, lies: map[string]http.HandlerFunc{}, asked: map[string]int{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL + "/log"
	return s
}

func (s *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/log/")
	lie, data := s.about(path)
	switch {
	case lie != nil:
		lie(w, r)
	case data == nil:
		http.NotFound(w, r)
	default:
		w.Write(data)
	}
}

func (s *liar) about(path string) (http.HandlerFunc, []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[path]++
	if lie := s.lies[path]; lie != nil {
		return lie, nil
	}
	return nil, s.log.answer(path)
}

// says lets the server say something else at a path.
func (s *liar) says(path string, data []byte) {
	s.does(path, func(w http.ResponseWriter, r *http.Request) { w.Write(data) })
}

func (s *liar) does(path string, lie http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lies[path] = lie
}

// requests are how often anything was asked for since the last time.
func (s *liar) requests() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = map[string]int{}
	return asked
}

// check runs a check with the server's key, or as the configuration says.
func (s *liar) check(t testing.TB, c mirror.Config) *mirror.Report {
	t.Helper()
	if c.Keys == nil {
		c.Keys = []string{s.vkey}
	}
	return s.run(t, c)
}

func (s *liar) run(t testing.TB, c mirror.Config) *mirror.Report {
	t.Helper()
	c.URL, c.Pause = s.url, time.Millisecond
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	r, err := mirror.Run(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// finds fails unless just one thing was found: at this step and place, in these words.
func finds(t testing.TB, r *mirror.Report, step, place, words string) {
	t.Helper()
	if len(r.Findings) != 1 || r.Findings[0].Step != step || r.Findings[0].Place != place || !strings.Contains(r.Findings[0].Text, words) {
		t.Errorf("found %v, want one at step %s, place %s, that says %q", r.Findings, step, place, words)
	}
}

func clean(t testing.TB, r *mirror.Report, entries int64) {
	t.Helper()
	if !r.Clean() || len(r.Findings) > 0 || r.Entries != entries || r.Checked != entries {
		t.Fatalf("of %d entries %d were checked, and %v found; want %d and nothing", r.Entries, r.Checked, r.Findings, entries)
	}
}

// An honest log of any size is clean, the first time and the next.
func TestSizes(t *testing.T) {
	l := newLog(t, "example.org/log", 1)
	s := serve(t, l)
	dir := t.TempDir() + "/copy"
	for _, size := range []int64{2, 3, 255, 256, 257, 511, 512, 513, 1024} {
		l.grow(int(size - l.size()))
		clean(t, s.check(t, mirror.Config{}), size)
		clean(t, s.check(t, mirror.Config{Dir: dir}), size)
		clean(t, s.check(t, mirror.Config{Dir: dir}), size)
	}
}

// So is one with a full tile of the second level, of whose copy all is used again.
func TestBig(t *testing.T) {
	s := serve(t, bigLog(t))
	s.entries = s.entries[:65536]
	dir := t.TempDir()
	clean(t, s.check(t, mirror.Config{Dir: dir}), 65536)
	s = serve(t, bigLog(t))
	r := s.check(t, mirror.Config{Dir: dir})
	if clean(t, r, 66500); r.Known != 65536 || r.Types[record.BatchType] != 66498 || r.Fetched > 1_000_000 || r.Copied < 20_000_000 {
		t.Errorf("%d entries were known, %d bytes fetched and %d copied, and there are %v", r.Known, r.Fetched, r.Copied, r.Types)
	}
}

// An empty log has nothing to check but its head, and nothing to say which key is its own.
func TestEmpty(t *testing.T) {
	l := newLog(t, "example.org/log", 1)
	l.entries, l.stored = nil, nil
	s := serve(t, l)
	clean(t, s.check(t, mirror.Config{Dir: t.TempDir()}), 0)
	if _, err := mirror.Run(t.Context(), mirror.Config{URL: s.url}); err == nil || !strings.Contains(err.Error(), "has no entries") {
		t.Errorf("without a key: %v", err)
	}
}

// Only what is new is fetched.
func TestOnlyNew(t *testing.T) {
	s := serve(t, newLog(t, "example.org/log", 1).grow(1000))
	dir := t.TempDir()
	clean(t, s.check(t, mirror.Config{Dir: dir}), 1002)
	s.requests()
	s.grow(300)
	clean(t, s.check(t, mirror.Config{Dir: dir}), 1302)
	for path := range s.requests() {
		if strings.HasPrefix(path, "tile/0/00") && path < "tile/0/003" || strings.HasPrefix(path, "tile/entries/00") && path < "tile/entries/003" {
			t.Errorf("%s was fetched again", path)
		}
	}
}

// Without a key the log's own word is taken, and it is said so; from then on the copy's key counts.
func TestFirstUse(t *testing.T) {
	s := serve(t, newLog(t, "example.org/log", 1).grow(300))
	dir := t.TempDir()
	r := s.run(t, mirror.Config{Dir: dir})
	clean(t, r, 302)
	if r.Trust != mirror.FirstUse || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "no key was given") {
		t.Errorf("trust is %q, notes %q", r.Trust, r.Notes)
	}
	if r = s.run(t, mirror.Config{Dir: dir}); r.Trust != mirror.Copied || len(r.Notes) != 0 {
		t.Errorf("the next time trust is %q, notes %q", r.Trust, r.Notes)
	}
	other := serve(t, newLog(t, "example.org/log", 2).grow(400))
	finds(t, other.run(t, mirror.Config{Dir: dir}), mirror.StepSignature, "checkpoint", "is not signed by a key")
	stranger := serve(t, newLog(t, "example.org/stranger", 2))
	finds(t, stranger.run(t, mirror.Config{Dir: dir}), mirror.StepSignature, "checkpoint", "is not signed by a key")

	mute := newLog(t, "example.org/log", 1)
	mute.entries, mute.stored = nil, nil
	finds(t, serve(t, mute.grow(5)).run(t, mirror.Config{}), record.Beginning, "entry 0", "is not the log's origin")
	borrowed := newLog(t, "example.org/log", 1)
	borrowed.entries, borrowed.stored = nil, nil
	borrowed.add(&record.Origin{Origin: "example.org/log", Parts: 1, Key: newLog(t, "example.org/other", 1).vkey})
	finds(t, serve(t, borrowed).run(t, mirror.Config{}), record.Beginning, "entry 0", "is not one of the log")
}

// A log whose first entry names one key to those who trust it at first, and another in its tree.
func TestFirstUseTwoKeys(t *testing.T) {
	l := newLog(t, "example.org/log", 1).grow(10)
	s := serve(t, newLog(t, "example.org/log", 2).grow(10))
	lies := 0
	s.does("checkpoint", func(w http.ResponseWriter, r *http.Request) { w.Write(l.head(12, s.root(12))) })
	s.does("tile/entries/000.p/12", func(w http.ResponseWriter, r *http.Request) {
		if lies++; lies == 1 {
			w.Write(l.answer("tile/entries/000.p/12"))
		} else {
			w.Write(s.answer("tile/entries/000.p/12"))
		}
	})
	finds(t, s.run(t, mirror.Config{}), mirror.StepKeys, "checkpoint", "not signed by any key that the log's entries name")
}

// A log can go over to another key that it has named.
func TestNewKey(t *testing.T) {
	l := newLog(t, "example.org/log", 1).grow(10)
	next := newLog(t, "example.org/log", 2)
	s := serve(t, l)
	dir := t.TempDir()
	l.add(&record.Key{Number: 1, Key: next.vkey})
	clean(t, s.run(t, mirror.Config{Dir: dir}), 13)
	l.grow(5)
	l.signer = next.signer
	clean(t, s.run(t, mirror.Config{Dir: dir}), 18)
	finds(t, s.check(t, mirror.Config{}), mirror.StepSignature, "checkpoint", "not signed by a key")
}

// A key that has ended is believed no more, but by heads from before.
func TestEndedKey(t *testing.T) {
	l := newLog(t, "example.org/log", 1).grow(10)
	next := newLog(t, "example.org/log", 2)
	s := serve(t, l)
	dir, late := t.TempDir(), t.TempDir()
	clean(t, s.run(t, mirror.Config{Dir: late}), 12)
	l.add(&record.Key{Number: 1, Key: next.vkey})
	clean(t, s.run(t, mirror.Config{Dir: dir}), 13)
	l.add(&record.Key{Number: 2, Key: l.vkey, Ended: true})
	finds(t, s.check(t, mirror.Config{Dir: dir}), mirror.StepKeys, "checkpoint", "not signed by any key that the log's entries name")
	l.signer = next.signer
	r := s.run(t, mirror.Config{Dir: dir})
	clean(t, r, 14)
	if !slices.Equal(r.Keys, []string{next.vkey}) {
		t.Errorf("it is believed by %q", r.Keys)
	}
	clean(t, s.run(t, mirror.Config{Keys: []string{next.vkey}}), 14)
	// Who was away while both signed has to be told the key.
	finds(t, s.run(t, mirror.Config{Dir: late}), mirror.StepSignature, "checkpoint", "not signed by a key")
	clean(t, s.run(t, mirror.Config{Dir: late, Keys: []string{next.vkey}}), 14)
	clean(t, s.run(t, mirror.Config{Dir: late}), 14)
	// The old key was stolen.
	l.signer = newLog(t, "example.org/log", 1).signer
	l.grow(1)
	finds(t, s.run(t, mirror.Config{Dir: dir}), mirror.StepSignature, "checkpoint", "not signed by a key")
	finds(t, s.check(t, mirror.Config{Dir: dir}), mirror.StepKeys, "checkpoint", "not signed by any key that the log's entries name") // who was told it still
}

// TestOtherLog: whoever has a copy of a log, or its key, and finds another one there is told so. After a log was followed, all
// that he was told was that the head is not signed by a key that is trusted.
func TestOtherLog(t *testing.T) {
	l := newLog(t, "example.org/log", 1).grow(10)
	s, dir := serve(t, l), t.TempDir()
	clean(t, s.run(t, mirror.Config{Dir: dir}), 12)
	s.log = newLog(t, "example.org/log2", 2)
	for _, c := range []mirror.Config{{Dir: dir}, {Keys: []string{l.vkey}}} {
		finds(t, s.run(t, c), mirror.StepSignature, "checkpoint", `the head is not signed by a key of the log example.org/log that is trusted; it is one of "example.org/log2". Where one log goes on`)
	}
}

func TestWrongKey(t *testing.T) {
	s := serve(t, newLog(t, "example.org/log", 1).grow(10))
	r := s.check(t, mirror.Config{Keys: []string{newLog(t, "example.org/log", 2).vkey}})
	finds(t, r, mirror.StepSignature, "checkpoint", "the head is not signed by a key of the log example.org/log that is trusted")
	broken := s.answer("checkpoint")
	broken[len("example.org/log\n")] = '2'
	s.says("checkpoint", broken)
	finds(t, s.check(t, mirror.Config{}), mirror.StepSignature, "checkpoint", "is wrong")
	s.says("checkpoint", []byte("example.org/log\n5\n"))
	finds(t, s.check(t, mirror.Config{}), mirror.StepCheckpoint, "checkpoint", "malformed note")
	s.does("checkpoint", http.NotFound)
	finds(t, s.check(t, mirror.Config{}), mirror.StepCheckpoint, "checkpoint", "there is nothing")
}

// A witness that is asked for must have cosigned.
func TestWitness(t *testing.T) {
	s := serve(t, newLog(t, "example.org/log", 1).grow(10))
	skey, vkey, err := proof.GenerateWitnessKey(constant(3), "witness.example")
	if err != nil {
		t.Fatal(err)
	}
	finds(t, s.check(t, mirror.Config{Keys: []string{s.vkey, vkey}}), mirror.StepWitness, "checkpoint", "witness.example has not cosigned")
	cosigner, err := proof.NewCosigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(string(s.answer("checkpoint")), "\n\n")
	line, err := cosigner.Cosign(text+"\n", 1787270400)
	if err != nil {
		t.Fatal(err)
	}
	s.says("checkpoint", append(s.answer("checkpoint"), line...))
	r := s.check(t, mirror.Config{Keys: []string{s.vkey, vkey}})
	if clean(t, r, 12); len(r.Cosigned) != 1 || r.Cosigned[0].At.Unix() != 1787270400 {
		t.Errorf("cosigned is %v", r.Cosigned)
	}
}

// Two logs under one key, of one size, at two times.
func TestForkedBetweenRuns(t *testing.T) {
	s := serve(t, newLog(t, "example.org/log", 1).grow(600))
	dir := t.TempDir()
	clean(t, s.check(t, mirror.Config{Dir: dir}), 602)
	other := newLog(t, "example.org/log", 1)
	other.add(&record.Document{Rulebook: 2, Kind: "groups", Name: "g"})
	s.log = other.grow(599)
	r := s.check(t, mirror.Config{Dir: dir})
	finds(t, r, mirror.StepHistory, "checkpoint", "the log is forked: it signed two heads of 602 entries")
	if len(r.Evidence) != 2 || r.Evidence[0] == r.Evidence[1] {
		t.Errorf("the evidence is %q", r.Evidence)
	}
	// The fork grows on, and is still one.
	s.grow(100)
	finds(t, s.check(t, mirror.Config{Dir: dir}), mirror.StepHistory, "checkpoint", "the head of 702 entries does not extend that of 602")
	evidence(t, dir, 3)
	// And alone it looks like a log.
	clean(t, s.check(t, mirror.Config{}), 702)
}

// Two logs under one key, told in turn.
func TestForkedInOneRun(t *testing.T) {
	s := serve(t, newLog(t, "example.org/log", 1).grow(600))
	other := newLog(t, "example.org/log", 1)
	other.add(&record.Document{Rulebook: 2, Kind: "groups", Name: "g"})
	other.grow(599)
	for grown, words := range []string{"it signed two heads of 602 entries", "the head of 603 entries does not extend that of 602"} {
		other.grow(grown)
		heads := 0 // that were given out
		for _, path := range []string{"checkpoint", "tile/1/000.p/2", "tile/0/002.p/91"} {
			s.does(path, func(w http.ResponseWriter, r *http.Request) {
				if path == "checkpoint" {
					heads++
				}
				if heads%2 == 1 {
					w.Write(s.log.answer(path))
				} else {
					w.Write(other.answer(path))
				}
			})
		}
		dir := t.TempDir()
		finds(t, s.check(t, mirror.Config{Dir: dir}), mirror.StepHistory, "checkpoint", words)
		evidence(t, dir, 2)
	}
}

// The head of one fork over the tiles of another.
func TestForkedHead(t *testing.T) {
	s := serve(t, newLog(t, "example.org/log", 1).grow(600))
	other := newLog(t, "example.org/log", 1)
	other.add(&record.Document{Rulebook: 2, Kind: "groups", Name: "g"})
	s.says("checkpoint", other.grow(599).answer("checkpoint"))
	finds(t, s.check(t, mirror.Config{}), mirror.StepCheckpoint, "checkpoint", "is not that of the tiles that are served")
}

// A fork of which nothing but the signed head is shown leaves that behind: later, nobody could show that it was signed.
func TestForkWithheld(t *testing.T) {
	s := serve(t, newLog(t, "example.org/log", 1).grow(600))
	dir := t.TempDir()
	clean(t, s.check(t, mirror.Config{Dir: dir}), 602)
	other := newLog(t, "example.org/log", 1)
	other.add(&record.Document{Rulebook: 2, Kind: "groups", Name: "g"})
	s.says("checkpoint", other.grow(699).answer("checkpoint"))
	r := s.check(t, mirror.Config{Dir: dir})
	finds(t, r, mirror.StepTiles, "tile/0/002.p/190", "there is nothing")
	evidence(t, dir, 1)
	delete(s.lies, "checkpoint")
	clean(t, s.check(t, mirror.Config{Dir: dir}), 602)
	evidence(t, dir, 1)
}

func TestRewound(t *testing.T) {
	s := serve(t, newLog(t, "example.org/log", 1).grow(300))
	old := s.answer("checkpoint")
	s.grow(300)
	dir := t.TempDir()
	clean(t, s.check(t, mirror.Config{Dir: dir}), 602)
	s.says("checkpoint", old)
	r := s.check(t, mirror.Config{Dir: dir})
	finds(t, r, mirror.StepHistory, "checkpoint", "the log is rewound: a head of 602 entries was signed before, and now one of 302 is served")
	if len(r.Evidence) != 2 || r.Evidence[1] != string(old) {
		t.Errorf("the evidence is %q", r.Evidence)
	}
	evidence(t, dir, 2)
	clean(t, s.check(t, mirror.Config{}), 302)
	// In turn.
	turn := 0
	s.does("checkpoint", func(w http.ResponseWriter, r *http.Request) {
		if turn++; turn == 1 {
			w.Write(s.log.answer("checkpoint"))
		} else {
			w.Write(old)
		}
	})
	finds(t, s.check(t, mirror.Config{}), mirror.StepHistory, "checkpoint", "rewound")
}

func TestSwappedTile(t *testing.T) {
	for path, other := range map[string]string{"tile/0/000": "tile/0/001", "tile/0/257": "tile/0/000", "tile/1/000": "tile/0/002"} {
		s := serve(t, bigLog(t))
		s.says(path, s.answer(other))
		finds(t, s.check(t, mirror.Config{}), mirror.StepTiles, path, "it is not the tile that the signed root stands for")
	}
}

// bigLog has two full levels of tiles. It is made once.
func bigLog(t testing.TB) *log {
	big.once.Do(func() { big.log = newLog(t, "example.org/log", 1).grow(66_500 - 2) })
	l := *big.log
	l.t = t
	return &l
}

var big struct {
	once sync.Once
	log  *log
}

func TestSwappedLastTile(t *testing.T) {
	s := serve(t, newLog(t, "example.org/log", 1).grow(600))
	s.says("tile/0/002.p/90", s.answer("tile/0/001")[:90*32])
	finds(t, s.check(t, mirror.Config{}), mirror.StepCheckpoint, "checkpoint", "is not that of the tiles that are served")
}

func TestSwappedBundle(t *testing.T) {
	for path, other := range map[string]string{"tile/entries/000": "tile/entries/001", "tile/entries/257": "tile/entries/256"} {
		s := serve(t, bigLog(t))
		s.says(path, s.answer(other))
		first := map[string]string{"tile/entries/000": "entry 0 is not", "tile/entries/257": "entry 65792 is not"}[path]
		finds(t, s.check(t, mirror.Config{}), mirror.StepEntries, path, first)
	}
	s := serve(t, newLog(t, "example.org/log", 1).grow(600))
	s.says("tile/entries/002.p/90", bundle(append(s.entries[512:601:601], s.entries[0])))
	finds(t, s.check(t, mirror.Config{}), mirror.StepEntries, "tile/entries/002.p/90", "entry 601 is not the one")
}

func TestRootOfNothing(t *testing.T) {
	s := serve(t, newLog(t, "example.org/log", 1).grow(600))
	s.says("checkpoint", s.head(602, tlog.Hash{7}))
	finds(t, s.check(t, mirror.Config{}), mirror.StepCheckpoint, "checkpoint", "is not that of the tiles that are served")
	s.says("checkpoint", s.head(0, tlog.Hash{7}))
	finds(t, s.check(t, mirror.Config{}), mirror.StepCheckpoint, "checkpoint", "is not that of the tiles that are served")
}

func TestPartialTooShort(t *testing.T) {
	s := serve(t, newLog(t, "example.org/log", 1).grow(600))
	s.says("tile/0/002.p/90", s.answer("tile/0/002.p/89"))
	finds(t, s.check(t, mirror.Config{}), mirror.StepTiles, "tile/0/002.p/90", "it has 2848 bytes, and must have 2880")
	s = serve(t, newLog(t, "example.org/log", 1).grow(600))
	s.does("tile/0/002.p/90", http.NotFound)
	finds(t, s.check(t, mirror.Config{}), mirror.StepTiles, "tile/0/002.p/90", "there is nothing")
	s = serve(t, newLog(t, "example.org/log", 1).grow(600))
	s.says("tile/entries/002.p/90", s.answer("tile/entries/002.p/89"))
	finds(t, s.check(t, mirror.Config{}), mirror.StepEntries, "tile/entries/002.p/90", "cut off")
	s.says("tile/entries/002.p/90", s.answer("tile/entries/002.p/90")[:20000])
	finds(t, s.check(t, mirror.Config{}), mirror.StepEntries, "tile/entries/002.p/90", "cut off")
}

// A tile that was not full is served only whole, once it is full.
func TestPartialIsFull(t *testing.T) {
	s := serve(t, newLog(t, "example.org/log", 1).grow(600))
	head := s.answer("checkpoint")
	s.grow(400)
	s.says("checkpoint", head)
	s.does("tile/0/002.p/90", http.NotFound)
	s.does("tile/entries/002.p/90", http.NotFound)
	clean(t, s.check(t, mirror.Config{}), 602)
}

// A chain of batches that is broken, in a log whose tree is as it was signed.
func TestBrokenChain(t *testing.T) {
	l := newLog(t, "example.org/log", 1).grow(300)
	forged := l.batch(1)
	forged.Prev[0]++
	place := l.size()
	l.add(forged)
	l.batches[1].Prev[0]++ // from there on it goes well
	s := serve(t, l.grow(300))
	dir := t.TempDir()
	for range 2 { // it is found again, though it was copied
		r := s.check(t, mirror.Config{Dir: dir})
		finds(t, r, record.Chain, fmt.Sprintf("entry %d", place), "does not name the hash of the batch before it")
		if r.Checked != s.size() {
			t.Errorf("%d entries were checked, want %d", r.Checked, s.size())
		}
	}
}

// What else can be wrong with entries under a good root.
func TestBrokenEntries(t *testing.T) {
	totals := record.Totals{Number: 1, Programme: "p", Method: "M@1", Vintage: "2026", From: "2026-08-01", To: "2026-08-02", Claims: 5}
	again := totals
	again.Number, again.From = 2, "2026-08-02"
	for _, tt := range []struct {
		name, step, words string
		do                func(l *log)
	}{
		{"a batch missing", record.Numbers, "comes where number", func(l *log) { l.batch(1); l.batches[1].Prev = ledger.Hash{}; l.add(l.batch(1)) }},
		{"a document missing", record.Numbers, "document 3 comes where number 2 should", func(l *log) { l.add(&record.Document{Rulebook: 3}) }},
		{"links missing", record.Numbers, "links 2.2 comes where number 1 should", func(l *log) { l.add(&record.Links{Part: 2, Number: 2}) }},
		{"time going back", record.Instants, "before the batch before it", func(l *log) { b := l.batch(1); b.At = 0; l.add(b) }},
		{"a rulebook to come", record.Rulebook, "was judged by rulebook 2", func(l *log) { b := l.batch(1); b.Rulebook = 2; l.add(b) }},
		{"another origin", record.Beginning, "another origin", func(l *log) { l.add(&record.Origin{Parts: 1}) }},
		{"a day twice", mirror.StepTotals, "count a day", func(l *log) { l.add(&totals, &again) }},
		{"what is no entry", record.Form, "this is no entry", func(l *log) { l.append([]byte("hello")) }},
		{"an unknown type", record.Form, "unknown type", func(l *log) { l.append([]byte(`{"type":"gift"}`)) }},
		{"not the canonical form", record.Form, "canonical form", func(l *log) { l.append(append(record.Text(&record.Links{Number: 1}), ' ')) }},
		{"a key of another log", mirror.StepKeys, "names a key that is none of its own", func(l *log) { l.add(&record.Key{Number: 1, Key: "example.org/other+1+k"}) }},
	} {
		l := newLog(t, "example.org/log", 1).grow(300)
		tt.do(l)
		r := serve(t, l).check(t, mirror.Config{})
		if r.Found[tt.step] == 0 || r.Checked != l.size() {
			t.Errorf("%s: of %d entries %d were checked, and %v found", tt.name, l.size(), r.Checked, r.Findings)
		}
		said := false
		for _, f := range r.Findings {
			said = said || strings.Contains(f.Text, tt.words)
		}
		if !said {
			t.Errorf("%s: no finding says %q: %v", tt.name, tt.words, r.Findings)
		}
	}
}

// Totals are summed by programme, method and vintage.
func TestTotals(t *testing.T) {
	l := newLog(t, "example.org/log", 1)
	for i, day := range []string{"2026-08-01", "2026-08-02"} {
		l.add(&record.Totals{Number: int64(2*i + 1), Programme: "p", Method: "M@1", Vintage: "2026", From: day, To: day, Least: 10, Claims: 20, Reduction: 5, Points: 7})
		l.add(&record.Totals{Number: int64(2*i + 2), Programme: "p", Method: "N@1", Vintage: "2026", From: day, To: day, Least: 10, Claims: 1, Reduction: 1, Points: 1})
	}
	r := serve(t, l).check(t, mirror.Config{})
	clean(t, r, 6)
	want := record.Sum{Programme: "p", Method: "M@1", Vintage: "2026", From: "2026-08-01", To: "2026-08-02", Claims: 40, Reduction: 10, Points: 14}
	if len(r.Totals) != 2 || r.Totals[0] != want {
		t.Errorf("the totals are %+v, want %+v first", r.Totals, want)
	}
}
