//go:build unix

package store_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tanpu/tanpu/flows/intake"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

// A cold connection freezes between two system calls, as its process does that is stopped: PostgreSQL gets what the
// kernel took, and then nothing.
type cold struct {
	net.Conn
	left   *atomic.Int64   // writes that the kernel takes only in part, until it freezes
	frozen chan<- string   // told what was being written
	thawed <-chan struct{} // closed when the test is over
}

func (c cold) Write(b []byte) (int, error) {
	raw, err := c.Conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var n int
	waited := raw.Write(func(fd uintptr) bool {
		n, err = syscall.Write(int(fd), b)
		return err != syscall.EAGAIN
	})
	if err == nil {
		err = waited
	}
	if err != nil || n == len(b) {
		return n, err
	}
	if c.left.Add(-1) == 0 {
		c.frozen <- fmt.Sprintf("%d of %d bytes of %s", n, len(b), printable(b))
		<-c.thawed
		return n, errStroke
	}
	rest, err := c.Conn.Write(b[n:])
	return n + rest, err
}

// Wherever in a batch a server freezes, another gets its partition once PostgreSQL has ended the silent transaction.
// A COPY that the kernel did not take at once used to hold it until the server was killed.
func TestFrozen(t *testing.T) {
	url := storetest.Postgres(t)
	db := create(t, url, 1)
	put(t, db, documents...)
	subs := members(t, db, 0, 2000, "city", "bikes")
	var rides []claim.Claim
	for _, s := range subs {
		rides = append(rides, ride(s, strings.Repeat("a ride with a long name ", 5), 0))
	}
	var left atomic.Int64
	frozen, thawed := make(chan string, 1), make(chan struct{})
	defer close(thawed)
	defer store.Through(func(c net.Conn) net.Conn { return cold{c, &left, frozen, thawed} })()
	for n := int64(1); ; n++ {
		other, err := store.Open(ctx(), url+"&idle_in_transaction_session_timeout=4s")
		if err != nil {
			t.Fatal(err)
		}
		left.Store(n)
		done := make(chan error, 1)
		go func() {
			_, err := (&intake.Judge{DB: other}).Admit(ctx(), 0, rides, noon)
			done <- err
		}()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			other.Close()
			return // there was nothing left to freeze in
		case where := <-frozen:
			t.Log("frozen after", where)
			soon, cancel := context.WithTimeout(ctx(), time.Minute)
			if err := db.Update(soon, 0, noon, func(*store.Tx) error { return nil }); err != nil {
				t.Fatalf("frozen after %s, it holds its partition: %v", where, err)
			}
			cancel()
		}
	}
}
