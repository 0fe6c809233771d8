package report

import (
	"encoding/json"
	"os"
)

// WriteJSON writes the result to the file at path, or to nothing if that is "".
func (r *Result) WriteJSON(path string) error {
	if path == "" {
		return nil
	}
	out, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(out, '\n'), 0o644)
}
