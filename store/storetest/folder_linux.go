package storetest

import (
	"os"
	"syscall"
	"testing"
)

// folder makes a folder for a test's database: in memory where there is plenty of room. Tests need not
// survive a power cut, and a busy disk must not decide how long they take.
func folder(t testing.TB) string {
	const memory, room = "/dev/shm", 2 << 30
	var s syscall.Statfs_t
	if err := syscall.Statfs(memory, &s); err != nil || int64(s.Bavail)*int64(s.Bsize) < room {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(memory, "tanpu-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
