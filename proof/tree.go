package proof

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// EmptyRoot is the root of a tree without leaves (RFC 6962, section 2.1).
var EmptyRoot = tlog.Hash(sha256.Sum256(nil))

// CheckInclusion proves that the leaf with this hash is number index, counted from 0, of the tree of that size and root.
// Everything may come from a stranger.
func CheckInclusion(path []tlog.Hash, size, index int64, root, leaf tlog.Hash) error {
	if size > MaxSize || index < 0 || index >= size {
		return fmt.Errorf("there is no leaf %d in a tree of %d", index, size)
	}
	if err := tlog.CheckRecord(path, size, root, index, leaf); err != nil {
		return fmt.Errorf("the path does not lead from leaf %d to the root of the tree of %d", index, size)
	}
	return nil
}

// CheckConsistency proves that the tree of size2 and root2 begins with all leaves of the tree of size1 and root1.
// Everything may come from a stranger.
//
// Every tree extends the empty one, without any proof (tlog-witness; RFC 6962 has no proof for that). Then there are only the
// roots to look at: of the empty tree there is one, and no other tree has it.
func CheckConsistency(path []tlog.Hash, size1 int64, root1 tlog.Hash, size2 int64, root2 tlog.Hash) error {
	if size1 < 0 || size1 > size2 || size2 > MaxSize {
		return fmt.Errorf("a tree of %d leaves cannot extend one of %d", size2, size1)
	}
	if size1 == 0 {
		return checkFromEmpty(path, root1, size2, root2)
	}
	if err := tlog.CheckTree(path, size2, root2, size1, root1); err != nil {
		return fmt.Errorf("the path does not prove that the tree of %d extends that of %d", size2, size1)
	}
	return nil
}

func checkFromEmpty(path []tlog.Hash, root1 tlog.Hash, size2 int64, root2 tlog.Hash) error {
	switch {
	case len(path) > 0:
		return errors.New("that a tree extends the empty one takes no path")
	case root1 != EmptyRoot:
		return errors.New("the tree of no leaves has another root")
	case (size2 == 0) != (root2 == EmptyRoot):
		return fmt.Errorf("a tree of %d leaves cannot have that root", size2)
	}
	return nil
}
