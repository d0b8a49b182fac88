//go:build !linux

package simulate

import "os"

// folder is where worlds are kept.
func folder() string { return os.TempDir() }
