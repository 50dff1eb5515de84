// Opens a signed note from standard input with Go's golang.org/x/mod/sumdb/note and prints its text;
// exit 1, with the reason, where that refuses it. Arguments: verifier keys.
package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/mod/sumdb/note"
)

func main() {
	content, err := io.ReadAll(os.Stdin)
	var known []note.Verifier
	for _, key := range os.Args[1:] {
		verifier, problem := note.NewVerifier(key)
		if problem != nil {
			err = problem
			break
		}
		known = append(known, verifier)
	}
	var opened *note.Note
	if err == nil {
		opened, err = note.Open(content, note.VerifierList(known...))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Print(opened.Text)
}
