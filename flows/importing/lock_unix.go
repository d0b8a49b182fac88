//go:build unix

package importing

import (
	"os"
	"syscall"
)

// lock keeps a second import from giving the same members other subs. The system lets go of it when the
// process ends, however that happens.
func lock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
