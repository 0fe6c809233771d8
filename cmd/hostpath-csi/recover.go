package main

import "github.com/spf13/cobra"

func newRecoverCommand() *cobra.Command { return &cobra.Command{Use: "recover"} }
