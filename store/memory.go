package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/tanpu/tanpu/rules/claim"
)

// A memory is what a process remembers of a partition, so that batches need not read it again: links in force, and which
// claims were recorded of late. It is no source of truth. What it says of links holds because whoever takes the partition
// learns first which ones others granted or ended meanwhile (see align); what it says of claims only spares looking for
// those of which it has not heard, which the table's key refuses if they are recorded after all (see errRecorded).
type memory struct {
	terms *glossary // of all partitions
	doubt int       // batches; see doubted

	mu       sync.Mutex
	links    links
	known    int64  // the number of the last consent that is known; none for none
	root     []byte // its root
	lost     int64  // the number of the partition's last loss
	ids      recent // marks of recorded identities
	doubtful int    // for so many batches more every identity is looked up
}

const (
	mostLinks  = 2 << 20  // that are remembered, of all partitions together: some 300 MB
	mostIDs    = 48 << 20 // the same of identities: 96 MB
	mostTerms  = 1 << 16
	neighbours = 4 // accounts that are read together

	none = math.MaxInt64
)

// doubt is for how many batches every identity is looked up: the first ones, unless the partition was empty before them, and
// those after one was recorded that had not been heard of. Tests set it lower.
var doubt = 64

// remember makes the partitions' memories.
func (db *DB) remember() {
	terms, doubt := &glossary{places: map[string]uint32{}}, doubt
	if db.taking {
		doubt = 1 // worlds are small
	}
	db.memories = make([]memory, db.Parts)
	for i := range db.memories {
		m := &db.memories[i]
		m.terms, m.known, m.doubt, m.doubtful = terms, none, doubt, doubt
		m.links.room = max(2, mostLinks/2/db.Parts)
		m.ids.most = max(4*perBlock, mostIDs/db.Parts)
	}
}

// newsQuery reads what consents there are since one that is known ($2), and that one itself, the newest first; or only the last, where
// none is known or there are fewer.
const newsQuery = `SELECT number, root, CASE WHEN number > $2 AND length(links) < 65536 THEN links END,
	(SELECT coalesce(max(lost.number), 0) FROM lost WHERE part = $1) FROM consent
	WHERE part = $1 AND number >= (SELECT CASE WHEN consents > $2 THEN $2 ELSE consents - 1 END FROM partition WHERE part = $1)
	ORDER BY number DESC LIMIT 100`

// News are rows of newsQuery.
type news []notice

type notice struct {
	number int64
	root   []byte
	links  []byte // that were granted or ended; nil where they are too many, and of the one that was known
	lost   int64  // the number of the last loss: what was restored since can have other links under the same roots
}

func (n *news) read(scan func(...any) error) error {
	var one notice
	err := scan(&one.number, &one.root, &one.links, &one.lost)
	*n = append(*n, one)
	return err
}

// since is the consent from which on there may be news.
func (m *memory) since() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known
}

// align forgets the links that news name, granted or ended. It forgets all where the news do not go back to the consent that
// is known, as when there are many, or when the database has been set back; when it was restored, which keeps roots of consents
// whose links are lost; and where an erasure took out whose they were. It returns the consent that is known now.
func (m *memory) align(news news) (known int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	last := len(news) - 1
	if last < 0 || !bytes.Equal(news[last].root, m.root) || news[0].lost != m.lost || !m.links.forget(news[:last]) {
		m.links.clear()
	}
	m.known, m.root = none, nil
	if last >= 0 {
		m.known, m.root, m.lost = news[0].number, news[0].root, news[0].lost
	}
	return m.known
}

// Refresh brings what is remembered of links up to date where nothing is reported, so that it does not keep the keys of accounts
// that others erased. Read beside whoever holds the partition, news can be older than what a batch has heard by then; the memory
// begins anew in that case.
func (db *DB) Refresh(ctx context.Context) error {
	for part := range db.memories {
		m := &db.memories[part]
		known := m.since()
		if known == none {
			continue
		}
		var news news
		if err := eachRow(ctx, db.read, news.read, newsQuery, part, known); err != nil {
			return fmt.Errorf("reading which consents of partition %d are new: %w", part, err)
		}
		m.align(news)
	}
	return nil
}

// link is what is remembered of one.
func (m *memory) link(s seat) (l claim.Link, ok bool) {
	if m == nil {
		return l, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.links.get(s)
	if !ok {
		return l, false
	}
	t := m.terms.at(r.terms)
	return claim.Link{Account: s.account, Number: s.link, Key: r.key, Programme: t.programme, Partner: t.partner,
		Scenarios: t.scenarios, Purposes: t.purposes, Since: r.since, Granted: r.granted}, true
}

// learn remembers a link that is in force, as of the last consent that was heard of. One that has ended it does not: an erasure,
// which takes links away, ends them first, and that is news; nor one that was read before others were heard of, as by a
// transaction that PostgreSQL has ended meanwhile.
func (m *memory) learn(l *claim.Link, heard int64) {
	if m == nil || l.Revoked != 0 {
		return
	}
	if place, ok := m.terms.place(&terms{l.Programme, l.Partner, l.Scenarios, l.Purposes}); ok {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.known == heard {
			m.links.put(seat{l.Account, l.Number}, remembered{l.Key, l.Since, l.Granted, place})
		}
	}
}

// around is what is read with an account: those beside it, while there is room. They lie in a row, and four cost little more
// than one.
func (m *memory) around(n claim.Number) (from, to claim.Number) {
	if m == nil {
		return n, n
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.links.older != nil {
		return n, n
	}
	from = n - n%neighbours
	return from, from + neighbours - 1
}

// Links are those of one partition, without pointers, of which the collector of garbage would have to follow every one.
type links struct {
	now, older map[seat]remembered // older is what was not asked for since now was begun
	room       int                 // for so many in each
}

type remembered struct {
	key     [32]byte // the account's
	since   int64
	granted int64
	terms   uint32 // place in the glossary
}

func (k *links) get(s seat) (r remembered, ok bool) {
	if r, ok = k.now[s]; !ok {
		if r, ok = k.older[s]; ok {
			k.put(s, r)
		}
	}
	return r, ok
}

func (k *links) put(s seat, r remembered) {
	if k.now == nil {
		k.now = map[seat]remembered{}
	}
	if len(k.now) >= k.room {
		k.now, k.older = map[seat]remembered{}, k.now
	}
	k.now[s] = r
}

func (k *links) clear() { k.now, k.older = nil, nil }

// forget forgets the links that news name; false where they do not tell which.
func (k *links) forget(news news) bool {
	for _, n := range news {
		if len(n.links) == 0 {
			return false
		}
		for l := range slices.Chunk(n.links, consentedSize) {
			if len(l) != consentedSize {
				return false
			}
			s := seat{int64(binary.BigEndian.Uint64(l)), int(binary.BigEndian.Uint32(l[8:]))}
			if s.account == 0 {
				return false
			}
			delete(k.now, s)
			delete(k.older, s)
		}
	}
	return true
}

// Terms are what many links have in common.
type terms struct {
	programme, partner  string
	scenarios, purposes []string
}

// A glossary keeps terms, each once.
type glossary struct {
	mu     sync.Mutex
	list   []terms
	places map[string]uint32
}

// place finds or makes the place of terms; false when there are so many that it would not pay.
func (g *glossary) place(t *terms) (uint32, bool) {
	key := strings.Join([]string{t.programme, t.partner, strings.Join(t.scenarios, " "), strings.Join(t.purposes, " ")}, "\x00")
	g.mu.Lock()
	defer g.mu.Unlock()
	n, ok := g.places[key]
	if !ok && len(g.list) < mostTerms {
		n, ok = uint32(len(g.list)), true
		g.list = append(g.list, *t)
		g.places[key] = n
	}
	return n, ok
}

func (g *glossary) at(place uint32) terms {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.list[place]
}

// errRecorded says that a claim had been recorded which was not looked for. The attempt is made once more, sure of nothing.
var errRecorded = errors.New("a claim that was taken for new is recorded")

// seen reports whether a claim of this identity may be recorded. Where it is false it may be all the same: before this process
// began, by another, or so long ago that it is forgotten.
func (m *memory) seen(id *claim.Identity) bool {
	if m == nil {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.doubtful > 0 || m.ids.has(markOf(id))
}

// add notes what a batch that was committed has recorded.
func (m *memory) add(marks []uint64) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.doubtful = max(0, m.doubtful-1)
	for _, h := range marks {
		m.ids.add(h)
	}
}

// fresh notes that nothing is recorded yet: what will be, this process hears of, and there is nothing to doubt.
func (m *memory) fresh() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.doubtful = 0
}

// doubted notes that a claim was recorded which had not been heard of: partners send again what another server took, or
// this one before it was started anew. For some batches every identity is looked up then, so that no more than one in as many
// is made twice.
func (m *memory) doubted() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.doubtful = m.doubt
}

// recall marks an identity as recorded once the transaction is committed.
func (tx *Tx) recall(id *claim.Identity) {
	if tx.memory != nil {
		tx.recorded = append(tx.recorded, markOf(id))
	}
}

// markOf is a hash of an identity: FNV-1a, with the last step of SplitMix64. It need not withstand anybody, for who makes two
// alike has one of them looked up; and it is the same in every run, so that a simulation can be repeated.
func markOf(id *claim.Identity) uint64 {
	h := uint64(14695981039346656037)
	for _, s := range [...]string{id.Partner, "\x00", id.ID} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
	}
	h ^= uint64(id.Account) * 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// A recent set holds the last of what was added to it, and of what was not some one in a hundred: blocked Bloom filters of
// 16 bits an element, of which the oldest goes when there is no more room. They grow as they are filled, so that a small
// database takes little.
type recent struct {
	filters []filter // the newest last
	total   int      // elements that they have room for
	most    int
}

type filter struct {
	blocks [][8]uint64 // of a cache line each
	left   int         // so many more elements
}

const perBlock = 32 // elements in a block

func (f *filter) size() int { return len(f.blocks) * perBlock }

func (r *recent) has(h uint64) bool {
	for i := range r.filters {
		if r.filters[i].has(h) {
			return true
		}
	}
	return false
}

func (r *recent) add(h uint64) {
	n := len(r.filters)
	if n == 0 || r.filters[n-1].left == 0 {
		size := 8 * perBlock
		if n > 0 {
			size = 4 * r.filters[n-1].size()
		}
		r.grow(min(size, r.most/4/perBlock*perBlock))
	}
	f := &r.filters[len(r.filters)-1]
	f.left--
	f.add(h)
}

func (r *recent) grow(size int) {
	for r.total+size > r.most {
		r.total -= r.filters[0].size()
		r.filters = slices.Delete(r.filters, 0, 1)
	}
	r.filters = append(r.filters, filter{make([][8]uint64, size/perBlock), size})
	r.total += size
}

// eachBit calls each with an element's four bits, all in one block, until one does not please.
func (f *filter) eachBit(h uint64, each func(word *uint64, bit uint64) bool) bool {
	block := &f.blocks[(h>>32)*uint64(len(f.blocks))>>32]
	for range 4 {
		if !each(&block[h>>6&7], 1<<(h&63)) {
			return false
		}
		h >>= 9
	}
	return true
}

func (f *filter) has(h uint64) bool {
	return f.eachBit(h, func(word *uint64, bit uint64) bool { return *word&bit != 0 })
}

func (f *filter) add(h uint64) {
	f.eachBit(h, func(word *uint64, bit uint64) bool { *word |= bit; return true })
}
