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

// CheckConsistency proves that the tree of size2 and root2 begins with all leaves of the tree of size1 and root1, which has
// at least one: of the empty tree RFC 6962 has no proof. Everything may come from a stranger.
func CheckConsistency(path []tlog.Hash, size1 int64, root1 tlog.Hash, size2 int64, root2 tlog.Hash) error {
	if size1 < 1 || size1 > size2 || size2 > MaxSize {
		return fmt.Errorf("no path proves that a tree of %d leaves extends one of %d", size2, size1)
	}
	if err := tlog.CheckTree(path, size2, root2, size1, root1); err != nil {
		return fmt.Errorf("the path does not prove that the tree of %d leaves extends that of %d", size2, size1)
	}
	return nil
}

// CheckExtends proves that the second head is of the same log as the first and takes nothing back. Every tree extends the
// empty one, and no path is needed, or allowed, for that (tlog-witness, add-checkpoint). Then there are only the roots to look
// at: the empty tree has one root, and no other tree has it.
func CheckExtends(path []tlog.Hash, first, second Checkpoint) error {
	switch {
	case first.Origin != second.Origin:
		return fmt.Errorf("these are heads of two logs, %q and %q", first.Origin, second.Origin)
	case first.Size != 0:
		return CheckConsistency(path, first.Size, first.Root, second.Size, second.Root)
	case len(path) > 0:
		return errors.New("that a tree extends the empty one takes no path")
	case first.Root != EmptyRoot:
		return errors.New("the tree of no leaves has another root")
	case second.Size < 0 || second.Size > MaxSize || (second.Size == 0) != (second.Root == EmptyRoot):
		return fmt.Errorf("a tree of %d leaves cannot have this root", second.Size)
	}
	return nil
}
