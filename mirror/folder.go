package mirror

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync/atomic"

	"github.com/tanpu/tanpu/rules/fault"
)

// A folder holds a copy of a log, laid out as it is served, so that it can be served again: the checkpoint that was checked
// last, and tiles and bundles below tile/. Beside them lie the keys that the log's entries name. A nil folder holds nothing.
//
// What is true if we die on the way: what lies below tile/ was checked when it was put there, and is checked again whenever
// it is used. The checkpoint is replaced last, whole.
type folder struct {
	name   string
	root   *os.Root // what lies in it cannot lead out of it
	loaded atomic.Int64
}

const (
	checkpointFile = "checkpoint"
	keysFile       = "keys"
	evidencePrefix = "evidence."
	temporary      = ".new"
)

func openFolder(name string) (*folder, error) {
	if err := os.MkdirAll(name, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	f := &folder{name: name, root: root}
	_, err = root.Stat(checkpointFile)
	if errors.Is(err, fs.ErrNotExist) {
		err = f.fresh()
	}
	if err != nil {
		root.Close()
		return nil, err
	}
	return f, nil
}

// fresh makes sure that a folder without a checkpoint is nobody else's.
func (f *folder) fresh() error {
	inside, err := fs.ReadDir(f.root.FS(), ".")
	for _, e := range inside {
		switch name := strings.TrimSuffix(e.Name(), temporary); {
		case name == "tile", name == keysFile, name == checkpointFile, strings.HasPrefix(name, evidencePrefix):
		default:
			return fault.New(fault.Conflict, "%s holds %s, and no copy of a log: name a folder of its own", f.name, e.Name())
		}
	}
	return err
}

func (f *folder) close() {
	if f != nil {
		f.root.Close()
	}
}

// read is how many bytes were taken from the copy.
func (f *folder) read() int64 {
	if f == nil {
		return 0
	}
	return f.loaded.Load()
}

// load reads what lies at a path, of at most limit bytes and one more; nil when there is nothing.
func (f *folder) load(name string, limit int) ([]byte, error) {
	if f == nil {
		return nil, nil
	}
	file, err := f.root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, int64(limit)+1))
	if err == nil && data == nil {
		data = []byte{}
	}
	f.loaded.Add(int64(len(data)))
	return data, err
}

// save puts a tile or bundle, which was checked, in its place. It takes the place of all that were shorter.
func (f *folder) save(name string, data []byte) error {
	if f == nil {
		return nil
	}
	dir := path.Dir(name)
	if strings.HasSuffix(dir, ".p") {
		if err := f.root.RemoveAll(dir); err != nil {
			return err
		}
	}
	if err := f.root.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := f.replace(name, data, false); err != nil {
		return err
	}
	if strings.HasSuffix(dir, ".p") {
		return nil
	}
	return f.root.RemoveAll(name + ".p")
}

func (f *folder) replace(name string, data []byte, durable bool) error {
	file, err := f.root.Create(name + temporary)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if durable && err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return f.root.Rename(name+temporary, name)
}

// checkpoint is the head that was checked last; nil before the first.
func (f *folder) checkpoint() ([]byte, error) { return f.load(checkpointFile, maxCheckpoint) }

// keys are those by which it was believed, and those that the log named.
func (f *folder) keys() (k keyring, err error) {
	text, err := f.load(keysFile, 1<<20)
	if err != nil {
		return k, err
	}
	for line := range strings.Lines(string(text)) {
		if !k.add(strings.TrimSuffix(line, "\n")) {
			return k, fault.New(fault.Conflict, "%s/%s names what is no key: %.100q", f.name, keysFile, line)
		}
	}
	return k, nil
}

// remember replaces the head that was checked last, and the keys: these first, for a head without them is not believed.
func (f *folder) remember(checkpoint []byte, keys []string) error {
	if f == nil {
		return nil
	}
	if err := f.replace(keysFile, []byte(strings.Join(keys, "\n")+"\n"), true); err != nil {
		return err
	}
	return f.replace(checkpointFile, checkpoint, true)
}

// keep keeps signed heads that contradict each other, for whoever judges the log.
func (f *folder) keep(heads []string) error {
	if f == nil {
		return nil
	}
	for _, h := range heads {
		if err := f.replace(fmt.Sprintf(evidencePrefix+"%.8x", sha256.Sum256([]byte(h))), []byte(h), true); err != nil {
			return err
		}
	}
	return nil
}
