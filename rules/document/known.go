package document

import (
	"crypto/sha256"
	"sync"

	"go.yaml.in/yaml/v3"
)

// known are the texts that were read last and in which nothing was wrong. A rulebook is bound from the same texts again
// and again, at publishing, at trying and at each receipt, and reading YAML is four fifths of that.
var known texts

// texts keeps what was read. Nobody changes it, so it can be shared.
type texts struct {
	mu   sync.Mutex
	read map[[sha256.Size]byte]text // guarded by mu
	size int                        // of them all; guarded by mu
}

type text struct {
	lines []string
	root  *yaml.Node
}

// maxKnown is how many bytes of text are kept; in memory they take some twenty times as much.
const maxKnown = 2 << 20

func (k *texts) find(hash [sha256.Size]byte) (text, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	t, ok := k.read[hash]
	return t, ok
}

func (k *texts) keep(hash [sha256.Size]byte, t text, size int) {
	if size > maxKnown {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, there := k.read[hash]; there {
		return
	}
	if k.size += size; k.read == nil || k.size > maxKnown {
		k.read, k.size = map[[sha256.Size]byte]text{}, size
	}
	k.read[hash] = t
}
