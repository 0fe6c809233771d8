package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// mountsBeneath lists the mount points in a directory, the last one mounted first.
func mountsBeneath(dir string) ([]string, error) {
	infos, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return nil, err
	}
	var points []string
	for _, info := range infos {
		points = append([]string{info.Mountpoint}, points...)
	}
	return points, nil
}

// writeFile fills a file with random bytes, durably, and returns their SHA-256.
func writeFile(path string, bytes int64) (sum string, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return "", err
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}()
	h := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(f, h), rand.Reader, bytes); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), f.Sync()
}

// readSum returns the SHA-256 of a file.
func readSum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// diskFree is what df tells of a path.
type diskFree struct{ total, used, available int64 }

func df(path string) (diskFree, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return diskFree{}, fmt.Errorf("statfs %s: %w", path, err)
	}
	return diskFree{
		total:     int64(st.Blocks) * st.Bsize,
		used:      int64(st.Blocks-st.Bfree) * st.Bsize,
		available: int64(st.Bavail) * st.Bsize,
	}, nil
}

// leavings lists what is in the pool's folders: volumes, snapshots, half made ones, trash.
func leavings(pool string) ([]string, error) {
	var found []string
	for _, folder := range []string{"volumes", "snapshots", ".tmp", ".trash"} {
		entries, err := os.ReadDir(filepath.Join(pool, folder))
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			found = append(found, filepath.Join(folder, e.Name()))
		}
	}
	return found, nil
}

// short is a checksum for people to compare.
func short(sum string) string { return strings.ToLower(sum[:12]) }
