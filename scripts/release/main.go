// Release packs what scripts/release.sh has built: for each platform an archive of its programs with the licences of all that
// is linked into them and a bill of materials, and SHA256SUMS of the archives. Nothing of when or where it runs is in them.
//
//	release pack --version v0.1.0 --built dist/.build --out dist
//	release licences ./cmd/worker ./cmd/enqueue ./cmd/dev      # what is linked, and under which licences
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// run is main without the process. It works in the root of the repository.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return errors.New("say pack or licences")
	}
	switch command, args := args[0], args[1:]; command {
	case "licences":
		modules, err := linked(ctx, ".", args)
		if err != nil {
			return err
		}
		for _, m := range modules {
			fmt.Fprintf(stdout, "%s %s: %s\n", m.Path, m.Version, strings.Join(m.licences(), ", "))
		}
		return allowed(modules)
	case "pack":
		var p packing
		fs := flag.NewFlagSet("pack", flag.ContinueOnError)
		fs.SetOutput(stderr)
		fs.StringVar(&p.version, "version", "", "of the release, such as v0.1.0")
		fs.StringVar(&p.built, "built", "", "folder with a folder of programs for each platform, such as linux_amd64")
		fs.StringVar(&p.out, "out", "", "folder for the archives")
		if err := fs.Parse(args); err != nil {
			return err
		}
		if p.version == "" || p.built == "" || p.out == "" {
			return errors.New("pack needs --version, --built and --out")
		}
		return p.pack(ctx, stdout)
	default:
		return fmt.Errorf("there is no command %q: say pack or licences", command)
	}
}
