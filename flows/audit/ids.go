package audit

import (
	"bufio"
	"cmp"
	"container/heap"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/store"
)

// SharedIDs are ids that one partner used for claims of more than one account. A claim is known by
// partner, account and id, so this is no fault; but a partner that mixes up its members looks like this.
type SharedIDs struct {
	Total int64      `json:"total"`
	Shown []SharedID `json:"shown"`
}

// A SharedID is one of them, with some of the accounts.
type SharedID struct {
	Partner  string   `json:"partner"`
	ID       string   `json:"id"`
	Accounts []string `json:"accounts"`
}

// A use stands for a claim: a hash of partner and id, and the account.
type use struct {
	hash uint64
	who  uint64 // partition and account
}

func (u use) compare(o use) int {
	return cmp.Or(cmp.Compare(u.hash, o.hash), cmp.Compare(u.who, o.who))
}

func (u use) account() store.AccountID {
	return store.AccountID{Part: int(u.who >> 48), Number: claim.Number(u.who & (1<<48 - 1))}
}

// runRecords is how many uses are sorted in memory: 16 MiB.
const runRecords = 1 << 20

// A sorter puts uses in order of hash in bounded memory: what exceeds it goes to a temporary file in
// sorted runs.
type sorter struct {
	limit int
	held  []use
	file  *os.File
	runs  []int64 // how many bytes each has in the file, in order
	err   error   // the first, kept for the end
}

func newSorter(limit int) *sorter { return &sorter{limit: limit} }

func (s *sorter) add(hash uint64, part int, account claim.Number) {
	s.held = append(s.held, use{hash, uint64(part)<<48 | uint64(account)&(1<<48-1)})
	if len(s.held) >= s.limit && s.err == nil {
		s.err = s.spill()
		s.held = s.held[:0]
	}
}

func (s *sorter) spill() (err error) {
	if s.file == nil {
		if s.file, err = os.CreateTemp("", "tanpu-audit-"); err != nil {
			return err
		}
	}
	slices.SortFunc(s.held, use.compare)
	w := bufio.NewWriterSize(s.file, 1<<16)
	var b [16]byte
	for _, u := range s.held {
		binary.LittleEndian.PutUint64(b[:], u.hash)
		binary.LittleEndian.PutUint64(b[8:], u.who)
		w.Write(b[:]) // Flush says whether it worked
	}
	s.runs = append(s.runs, int64(len(s.held))*int64(len(b)))
	return w.Flush()
}

// close throws the file away.
func (s *sorter) close() {
	if s.file != nil {
		s.file.Close()
		os.Remove(s.file.Name())
		s.file = nil
	}
}

// A run gives uses in order.
type run struct {
	first use
	next  func() (use, bool)
}

// open returns the sorter's runs: those in the file and the one in memory.
func (s *sorter) open() []*run {
	var list []*run
	offset := int64(0)
	for _, size := range s.runs {
		r := bufio.NewReaderSize(io.NewSectionReader(s.file, offset, size), 1<<15)
		offset += size
		list = append(list, &run{next: func() (use, bool) {
			var b [16]byte
			_, err := io.ReadFull(r, b[:])
			if err != nil && err != io.EOF {
				s.err = errors.Join(s.err, err)
			}
			return use{binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:])}, err == nil
		}})
	}
	slices.SortFunc(s.held, use.compare)
	held := s.held
	return append(list, &run{next: func() (use, bool) {
		if len(held) == 0 {
			return use{}, false
		}
		u := held[0]
		held = held[1:]
		return u, true
	}})
}

// runs are merged by a heap over their first uses.
type runs []*run

func (r runs) Len() int           { return len(r) }
func (r runs) Less(i, j int) bool { return r[i].first.compare(r[j].first) < 0 }
func (r runs) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *runs) Push(x any)        { *r = append(*r, x.(*run)) }
func (r *runs) Pop() any {
	last := (*r)[len(*r)-1]
	*r = (*r)[:len(*r)-1]
	return last
}

// merge runs f on the accounts of each hash, at most most of them, if there are several. One account uses an id twice
// where its claim was judged again.
func merge(sorters []*sorter, most int, f func([]use)) error {
	var all runs
	for _, s := range sorters {
		for _, r := range s.open() {
			var ok bool
			if r.first, ok = r.next(); ok {
				all = append(all, r)
			}
		}
	}
	heap.Init(&all)
	var same []use
	flush := func() {
		if len(same) > 1 {
			f(same)
		}
		same = same[:0]
	}
	for len(all) > 0 {
		u := all[0].first
		if len(same) > 0 && same[0].hash != u.hash {
			flush()
		}
		if len(same) < most && (len(same) == 0 || same[len(same)-1] != u) {
			same = append(same, u)
		}
		var ok bool
		if all[0].first, ok = all[0].next(); ok {
			heap.Fix(&all, 0)
		} else {
			heap.Pop(&all)
		}
	}
	flush()
	var err error
	for _, s := range sorters {
		err = errors.Join(err, s.err)
	}
	return err
}

// mostAccounts is how many accounts are told of one id.
const mostAccounts = 5

// shared finds ids used under several accounts, and looks up the first ones.
func shared(ctx context.Context, db *store.DB, sorters []*sorter, shown int) (SharedIDs, error) {
	defer func() {
		for _, s := range sorters {
			s.close()
		}
	}()
	found := SharedIDs{Shown: []SharedID{}}
	var first [][]use
	err := merge(sorters, mostAccounts, func(same []use) {
		found.Total++
		if len(first) < shown {
			first = append(first, slices.Clone(same))
		}
	})
	if err != nil {
		return found, fmt.Errorf("comparing ids across accounts: %w", err)
	}
	for _, same := range first {
		id, err := lookUp(ctx, db, same)
		if err != nil {
			return found, err
		}
		found.Shown = append(found.Shown, id)
	}
	slices.SortFunc(found.Shown, func(a, b SharedID) int {
		return cmp.Or(strings.Compare(a.Partner, b.Partner), strings.Compare(a.ID, b.ID))
	})
	return found, nil
}

// lookUp finds the id that a hash stands for among the first account's claims.
func lookUp(ctx context.Context, db *store.DB, same []use) (SharedID, error) {
	var id SharedID
	for _, u := range same {
		id.Accounts = append(id.Accounts, u.account().String())
	}
	at := same[0].account()
	err := db.Snapshot(ctx, at.Part, func(s *store.Snapshot) error {
		return s.Claims(ctx, store.Range{From: at.Number, To: at.Number}, func(c *store.ClaimRow) {
			if idHash(c.Partner, c.ID) == same[0].hash {
				id.Partner, id.ID = c.Partner, c.ID
			}
		})
	})
	return id, err
}
