//go:build unix

package witness

import (
	"os"
	"syscall"
)

// lock keeps a second process from signing by the same memory. The system lets go of it when the
// process ends, however that happens.
func lock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
