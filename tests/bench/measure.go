package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"

	"github.com/spf13/cobra"

	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/process"
	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/report"
)

// outcome is what a measuring command finds, to be shown to people and machines.
type outcome interface {
	// Empty tells that nothing was measured yet.
	Empty() bool
	WriteTable(io.Writer) error
	// Missed are the goals that were not reached.
	Missed() []report.Goal
}

// measuring is the end of a command that measures.
type measuring struct {
	worker string // the hidden command that does it, see newWorkerCommand
	json   string // a file for the result, too; "": none
	strict bool   // a missed goal is an error
}

func (m *measuring) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&m.json, "json", "", "also write the result to this file, as JSON")
	cmd.Flags().BoolVar(&m.strict, "strict", false, "exit with an error if a goal is missed")
}

// run has the worker measure, and shows what it found; of a run that failed, what it had
// found until then.
func (m *measuring) run(cmd *cobra.Command, options any, result outcome) error {
	if err := process.Call(cmd.Context(), m.worker, options, result, cmd.ErrOrStderr()); err != nil {
		if !result.Empty() { // minutes of work
			cmd.PrintErrln("The run failed. Until then it measured:")
			err = errors.Join(result.WriteTable(cmd.ErrOrStderr()), err)
		}
		return err
	}
	if err := errors.Join(result.WriteTable(cmd.OutOrStdout()), report.WriteJSON(m.json, result)); err != nil {
		return err
	}
	if missed := result.Missed(); m.strict && len(missed) > 0 {
		return fmt.Errorf("%d goals missed", len(missed))
	}
	return nil
}

// newWorkerCommand is a hidden command that does what the one for people is asked to, in a
// mount namespace of its own: whatever ends it, no mount is left behind.
func newWorkerCommand[Options, Result any](name string, measure func(context.Context, Options, *log.Logger) (Result, error)) *cobra.Command {
	return &cobra.Command{
		Use:    name,
		Short:  "Measure as asked on standard input",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return process.Answer(cmd.InOrStdin(), cmd.OutOrStdout(), func(o Options) (Result, error) {
				return measure(cmd.Context(), o, log.New(cmd.ErrOrStderr(), "", log.Ltime))
			})
		},
	}
}
