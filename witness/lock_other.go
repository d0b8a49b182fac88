//go:build !unix

package witness

import "os"

// lock does nothing here: serve a folder with one process.
func lock(*os.File) error { return nil }
