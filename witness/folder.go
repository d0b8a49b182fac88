package witness

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb/note"

	"github.com/tanpu/tanpu/proof"
)

// What lies in a witness's folder.
const (
	keyFile     = "key"     // its secret key
	originsFile = "origins" // a line for each log that it ever signed for, so that a head that is gone is missed
	lockFile    = "lock"    // held by the process that serves
	headsFolder = "heads"   // the last head of each log, under the SHA-256 of its origin, cosigned by ourselves
)

// errUncertain says that we do not know whether the disk has the old text or the new one.
var errUncertain = errors.New("it is uncertain what is on the disk; start the witness again")

// folder is where a witness keeps what it must not forget.
type folder struct {
	path string
	lock *os.File

	mu      sync.Mutex // guards origins, and the file of that name
	origins []string
}

// Create makes a folder for a new witness, with a key, and gives its public key. The folder must be empty or not exist:
// a witness that has signed is never made anew.
func Create(dir, name string, rand io.Reader) (vkey string, err error) {
	skey, vkey, err := proof.GenerateWitnessKey(rand, name)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	if inside, err := os.ReadDir(dir); err != nil {
		return "", err
	} else if len(inside) > 0 {
		return "", fmt.Errorf("%s is not empty: a witness is made in a folder of its own", dir)
	}
	if err := os.Mkdir(filepath.Join(dir, headsFolder), 0o700); err != nil {
		return "", err
	}
	if err := replace(filepath.Join(dir, originsFile), ""); err != nil {
		return "", err
	}
	// The key comes last: a folder with a key is complete.
	if err := replace(filepath.Join(dir, keyFile), skey+"\n"); err != nil {
		return "", err
	}
	return vkey, syncFolder(filepath.Dir(filepath.Clean(dir)))
}

// openFolder locks a folder and reads its key and the origins.
func openFolder(path string) (*folder, *proof.Cosigner, error) {
	cosigner, err := readKey(filepath.Join(path, keyFile))
	if err != nil {
		return nil, nil, err
	}
	f := &folder{path: path}
	if f.lock, err = os.OpenFile(filepath.Join(path, lockFile), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, nil, err
	}
	if err := lock(f.lock); err != nil {
		f.close()
		return nil, nil, fmt.Errorf("another process serves the witness in %s: %w", path, err)
	}
	text, err := os.ReadFile(filepath.Join(path, originsFile))
	if err != nil {
		f.close()
		return nil, nil, fmt.Errorf("%s does not tell which logs it signed for: %w", path, err)
	}
	for line := range strings.Lines(string(text)) {
		f.origins = append(f.origins, strings.TrimSuffix(line, "\n"))
	}
	return f, cosigner, nil
}

func (f *folder) close() error { return f.lock.Close() }

// readKey reads the secret key, which nobody but its owner may be able to read.
func readKey(path string) (*proof.Cosigner, error) {
	about, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no witness in %s; make one with tanpu witness init", filepath.Dir(path))
	}
	if err != nil {
		return nil, err
	}
	if runtime.GOOS != "windows" && about.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("others can read %s, the secret key: chmod 600 it, and think about a new witness", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	cosigner, err := proof.NewCosigner(strings.TrimSuffix(string(text), "\n"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return cosigner, nil
}

// load gives the last head that we signed of a log. Only our own signature makes a file our memory, and not some other text.
func (f *folder) load(origin string, ours note.Verifier) (head proof.Checkpoint, known bool, err error) {
	text, err := os.ReadFile(f.head(origin))
	if errors.Is(err, fs.ErrNotExist) {
		if slices.Contains(f.origins, origin) {
			return head, false, fmt.Errorf("the last head that we signed is gone: %w", err)
		}
		return head, false, nil
	}
	if err != nil {
		return head, false, err
	}
	head, _, err = proof.OpenCheckpoint(text, origin, ours)
	if err != nil {
		return head, false, fmt.Errorf("%s is damaged: %w", f.head(origin), err)
	}
	// If we crashed after we wrote the first head, its origin is not on the list yet.
	return head, true, f.list(origin)
}

// keep puts a head in the place of the last one, and the origin of a first one on the list. If we crash between the two, the
// next start does the second.
func (f *folder) keep(origin, text string) error {
	if err := replace(f.head(origin), text); err != nil {
		return err
	}
	if err := f.list(origin); err != nil {
		return errors.Join(errUncertain, err) // the head is on the disk, and we have not said so
	}
	return nil
}

// list puts an origin on the list, once.
func (f *folder) list(origin string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if slices.Contains(f.origins, origin) {
		return nil
	}
	longer := append(slices.Clone(f.origins), origin)
	if err := replace(filepath.Join(f.path, originsFile), strings.Join(longer, "\n")+"\n"); err != nil {
		return err
	}
	f.origins = longer
	return nil
}

// head is the file of a log's last head. An origin can have any characters, a file's name cannot.
func (f *folder) head(origin string) string {
	return filepath.Join(f.path, headsFolder, fmt.Sprintf("%x", sha256.Sum256([]byte(origin))))
}

// replace puts a text in the place of a file, wholly or, if we crash, not at all. Until the rename nothing has happened.
func replace(path, text string) error {
	next := path + ".new"
	if err := write(next, text); err != nil {
		return err
	}
	if err := os.Rename(next, path); err != nil {
		return errors.Join(errUncertain, err)
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return errors.Join(errUncertain, err)
	}
	return nil
}

// write makes a file, for its owner's eyes, that is on the disk when it returns.
func write(path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Sync(), file.Close())
}

// syncFolder makes a new or renamed file's name as durable as its content.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := folder.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}
