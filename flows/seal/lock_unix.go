//go:build unix

package seal

import (
	"os"
	"syscall"
)

// lock keeps servers that share the file of the last signed head from writing it at once. The system lets go
// of it when the file is closed or the process ends.
func lock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
